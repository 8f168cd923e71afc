"""How much each principle's verdicts should count, by people's labels on pairs that judge and checks have judged too.

    logit(p_a) = sum over principles of weight * log-odds of the verdict under it

The fit is the panel's (panel.py) with principles for judges: a prior, no plain vote, and principles that repeat each
other share their weight. No principle is turned round: one that people's labels speak against gets 0. What the weights
are worth is measured on pairs whose prompts had no part in the fit. Left out: which principles may count at all
(qualify.py), and labels that name their principle (principles.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judges.calibration.folds import folds_by_prompt
from judges.calibration.labels import Floats, Labelled
from judges.calibration.panel import PanelPrior, fit_panel, panel_beliefs
from judges.calibration.reliability import accuracy, brier
from judges.calibration.votes import VoteTable
from judges.combine import Combined, combine_verdicts, kept_p
from judges.errors import TooFewLabels
from judges.qualify import ENOUGH_EXAMPLES
from judges.records import Preference, PrincipleVerdict

_PRIOR = PanelPrior(turn_harmful=False)


@dataclass(frozen=True, slots=True)
class PairLabel:
    """What people said of one comparison: `label_a` is 1 where reply A is better, 0 where B is, 0.5 a tie."""

    comparison_id: str
    prompt_id: str
    label_a: float


@dataclass(frozen=True, slots=True)
class Skill:
    """Of beliefs beside people's labels: the share that is right, ties one half, and the Brier score, 0 is best."""

    accuracy: float
    brier: float


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """`weights` of the principles, none below 0. `undecided` are labelled pairs on which no principle answered.

    `as_written` is the skill of the constitution's own weights, `fitted` that of weights fitted without the pair's
    prompt: the one that may be expected of `weights` on pairs like these.
    """

    weights: Mapping[str, float]
    labels: int
    prompts: int
    undecided: int
    as_written: Skill
    fitted: Skill


def fit_weights(
    verdicts: Sequence[PrincipleVerdict], labels: Sequence[PairLabel], written: Mapping[str, float]
) -> FittedWeights:
    """Weights for the principles whose weight in `written` is above 0; the others keep 0.

    Raises TooFewLabels under 20 prompts with a verdict, and CalibrationError where the labels show nothing.
    """
    by_pair: dict[str, list[PrincipleVerdict]] = defaultdict(list)
    for verdict in verdicts:
        by_pair[verdict.comparison_id].append(verdict)
    combined = {label.comparison_id: combine_verdicts(by_pair[label.comparison_id], written) for label in labels}
    decided = [label for label in labels if isinstance(combined[label.comparison_id], Combined)]
    prompts = len({label.prompt_id for label in decided})
    if prompts < ENOUGH_EXAMPLES:
        raise TooFewLabels(
            f"of {len(labels)} labelled pairs {len(decided)} got a verdict, on {prompts} prompts; weights need pairs "
            f"on {ENOUGH_EXAMPLES} prompts or more: label more, or take the weights as they are written"
        )
    columns = tuple(id for id, weight in written.items() if weight > 0)
    table = _table(by_pair, decided, columns)
    label_N = np.array([label.label_a for label in decided], dtype=np.float64)
    own_N = np.array([found.p_a for found in combined.values() if isinstance(found, Combined)], dtype=np.float64)
    best = fit_panel(table, label_N, _PRIOR)
    return FittedWeights(
        weights=dict.fromkeys(written, 0.0) | dict(zip(columns, best.weights, strict=True)),
        labels=len(decided),
        prompts=prompts,
        undecided=len(labels) - len(decided),
        as_written=_skill(own_N, label_N),
        fitted=_skill(_beliefs_of_others(table, label_N, decided), label_N),
    )


def _table(
    by_pair: Mapping[str, Sequence[PrincipleVerdict]], labels: Sequence[PairLabel], columns: tuple[str, ...]
) -> VoteTable:
    place = {id: j for j, id in enumerate(columns)}
    p_a_NJ, answered_NJ = np.full((len(labels), len(columns)), 0.5), np.zeros((len(labels), len(columns)), np.bool_)
    for n, label in enumerate(labels):
        for found in by_pair[label.comparison_id]:
            if found.principle_id in place and isinstance(found.verdict, Preference):
                at = n, place[found.principle_id]
                p_a_NJ[at], answered_NJ[at] = kept_p(found.verdict.p_a, found.kind), True
    return VoteTable(tuple(label.comparison_id for label in labels), columns, p_a_NJ, answered_NJ)


def _beliefs_of_others(table: VoteTable, label_N: Floats, labels: Sequence[PairLabel]) -> Floats:
    """The belief on each pair by weights that were fitted without its prompt."""
    beliefs_N = np.empty(len(label_N))
    for fold in folds_by_prompt([label.prompt_id for label in labels]):
        fitted = fit_panel(table.rows(fold.rest), label_N[fold.rest], _PRIOR)
        beliefs_N[fold.own] = panel_beliefs(table.rows(fold.own), fitted)
    return beliefs_N


def _skill(belief_N: Floats, label_N: Floats) -> Skill:
    pairs = Labelled(belief_N, label_N)
    return Skill(accuracy(pairs), brier(pairs))

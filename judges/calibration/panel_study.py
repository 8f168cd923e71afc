"""What a panel of judges and a cascade of two would be worth, by people's labels on pairs that all of them judged.

Weights, the best single judge and a cascade's threshold are chosen on nine tenths of the prompts and measured on the
last, in turn, so that nothing is praised for what it was fitted to. Disagreement is the spread of the judges' log-odds:
where it tells right from wrong verdicts, send the pairs of most spread to people. Left out: the asking.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judges.calibration.cascade import RecordedPairs, choose_threshold, simulate
from judges.calibration.folds import folds_by_prompt
from judges.calibration.labels import Floats, Labelled
from judges.calibration.panel import fit_panel, panel_beliefs
from judges.calibration.reliability import accuracy, brier
from judges.calibration.votes import VoteTable, effective_votes
from judges.errors import TooFewLabels, Undefined
from judges.qualify import ENOUGH_EXAMPLES

MOST_LOST = (0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Member:
    """One judge: how many of the pairs it answered, its accuracy (unanswered ones half right), its fitted weight."""

    judge: str
    answered: int
    accuracy: float
    weight: float


@dataclass(frozen=True, slots=True)
class CascadeCost:
    """`cheap` first, `strong` where it is unsure: the share of pairs that `strong` never saw, and the accuracy lost
    against `strong` alone, where `most_lost` was allowed."""

    cheap: str
    strong: str
    most_lost: float
    saved: float
    lost: float


@dataclass(frozen=True, slots=True)
class PanelStudy:
    """`panel` and `best` are accuracies on prompts that took no part in fitting the weights or picking the judge.

    `agreed` and `disagreed` are the panel's accuracies on the half of the pairs of less and of more spread; the second
    is None where no pair is spread more than another. `effective_judges` is Kish's number of independent votes; None
    where a judge is equally right on every pair, so that it correlates with nothing.
    """

    labels: int
    prompts: int
    members: tuple[Member, ...]
    panel: float
    panel_brier: float
    best: float
    agreed: float
    disagreed: float | None
    effective_judges: float | None
    cascades: tuple[CascadeCost, ...]


def study_panel(table: VoteTable, label_N: Floats, prompt_ids: Sequence[str]) -> PanelStudy:
    """Labels of shape N: 1 where reply A is better, 0.5 a tie. The last judge of the table is the cascades' strong one.

    Raises TooFewLabels under 20 prompts, and CalibrationError where the labels show nothing.
    """
    if len(set(prompt_ids)) < ENOUGH_EXAMPLES:
        raise TooFewLabels(
            f"the labelled pairs have {len(set(prompt_ids))} prompts; a panel is studied on {ENOUGH_EXAMPLES} or more: "
            "label more"
        )
    beliefs_N, picked_N = np.empty(len(label_N)), np.empty(len(label_N))
    p_a_NJ = np.where(table.answered_NJ, table.p_a_NJ, 0.5)
    for fold in folds_by_prompt(prompt_ids):
        fitted = fit_panel(table.rows(fold.rest), label_N[fold.rest])
        beliefs_N[fold.own] = panel_beliefs(table.rows(fold.own), fitted)
        alone = [accuracy(Labelled(p_N, label_N[fold.rest])) for p_N in p_a_NJ[fold.rest].T]
        picked_N[fold.own] = p_a_NJ[fold.own, int(np.argmax(alone))]
    weights = fit_panel(table, label_N).weights
    spread_N = table.logits_NJ().std(axis=1)
    apart_N = spread_N > np.median(spread_N)
    return PanelStudy(
        labels=len(label_N),
        prompts=len(set(prompt_ids)),
        members=tuple(
            Member(judge, int(table.answered_NJ[:, j].sum()), accuracy(Labelled(p_a_NJ[:, j], label_N)), weights[j])
            for j, judge in enumerate(table.judges)
        ),
        panel=accuracy(Labelled(beliefs_N, label_N)),
        panel_brier=brier(Labelled(beliefs_N, label_N)),
        best=accuracy(Labelled(picked_N, label_N)),
        agreed=accuracy(Labelled(beliefs_N[~apart_N], label_N[~apart_N])),
        disagreed=accuracy(Labelled(beliefs_N[apart_N], label_N[apart_N])) if apart_N.any() else None,
        effective_judges=_effective(table, label_N),
        cascades=tuple(
            _cascade(table.judges[j], table.judges[-1], most_lost, pairs, prompt_ids)
            for j, pairs in enumerate(RecordedPairs(p_N, p_a_NJ[:, -1], label_N) for p_N in p_a_NJ.T[:-1])
            for most_lost in MOST_LOST
        ),
    )


def _cascade(cheap: str, strong: str, most_lost: float, pairs: RecordedPairs, prompt_ids: Sequence[str]) -> CascadeCost:
    """Each fold's threshold is chosen on the other nine."""
    saved, lost, shares = list[float](), list[float](), list[float]()
    for fold in folds_by_prompt(prompt_ids):
        found = simulate(pairs.rows(fold.own), choose_threshold(pairs.rows(fold.rest), most_lost).threshold)
        saved.append(found.saved)
        lost.append(found.lost)
        shares.append(len(fold.own))
    return CascadeCost(
        cheap, strong, most_lost, float(np.average(saved, weights=shares)), float(np.average(lost, weights=shares))
    )


def _effective(table: VoteTable, label_N: Floats) -> float | None:
    try:
        return effective_votes(table, label_N)
    except Undefined:
        return None

"""The part of `benchmarks.calibration` on panels: what weights from few gold labels make of six judges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import table
from benchmarks.llmbar import RecordedPanel, Votes, adversarial, everything, natural, recorded_panel, setups_of
from judges.calibration.labels import Floats, Labelled
from judges.calibration.panel import DEFAULT_PRIOR, PanelPrior, fit_panel, panel_beliefs
from judges.calibration.reliability import accuracy
from judges.calibration.votes import effective_votes

Rows = NDArray[np.intp]
GOLD = 30
PRECISIONS = (0.5, 1.0, 2.0, 5.0, 10.0)
TRUSTING = PanelPrior(turn_harmful=False)


@dataclass(frozen=True, slots=True)
class Draws:
    """Accuracy over random draws of the gold labels, tested on all other pairs: mean and standard deviation, 0 to 1."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class PanelResult:
    """The six Vanilla judges on the adversarial pairs, and how the same fit does elsewhere. Accuracies are 0 to 1.

    `turned_on_natural` is what weights fitted on adversarial gold earn on natural pairs, `trusting_on_natural` the
    same with no weight below 0. `mixed` is fitted on 30 of all 419 pairs and tested on the rest.
    """

    pairs: int
    majority: float
    best_single: float
    best_picked: Draws
    weighted: Draws
    trusting: Draws
    weighted_50: Draws
    weighted_100: Draws
    by_precision: tuple[tuple[float, float], ...]
    mixed: Draws
    mixed_best_picked: Draws
    natural: Draws
    natural_best_picked: Draws
    turned_on_natural: float
    trusting_on_natural: float
    effective_votes: float


def panel_result(votes: Sequence[Votes], draws: int) -> PanelResult:
    """All of it, with a fixed seed."""
    six = setups_of(votes, prompt="Vanilla")
    hard, easy, mixed = (recorded_panel(votes, six, wanted) for wanted in (adversarial, natural, everything))
    return PanelResult(
        pairs=len(hard.label_N),
        majority=plain_majority(hard),
        best_single=float(singles_J(hard, np.arange(len(hard.label_N))).max()),
        best_picked=best_picked(hard, GOLD, draws),
        weighted=weighted(hard, GOLD, draws),
        trusting=weighted(hard, GOLD, draws, TRUSTING),
        weighted_50=weighted(hard, 50, draws),
        weighted_100=weighted(hard, 100, draws),
        by_precision=tuple((p, weighted(hard, GOLD, draws, PanelPrior(precision=p)).mean) for p in PRECISIONS),
        mixed=weighted(mixed, GOLD, draws),
        mixed_best_picked=best_picked(mixed, GOLD, draws),
        natural=weighted(easy, GOLD, draws),
        natural_best_picked=best_picked(easy, GOLD, draws),
        turned_on_natural=transferred(hard, easy, draws, DEFAULT_PRIOR),
        trusting_on_natural=transferred(hard, easy, draws, TRUSTING),
        effective_votes=effective_votes(hard.table, hard.label_N),
    )


def plain_majority(panel: RecordedPanel) -> float:
    """One judge one vote, ties one half."""
    share_N = (1 + np.sign(np.sign(panel.table.p_a_NJ - 0.5).sum(axis=1))) / 2
    return accuracy(Labelled(share_N, panel.label_N))


def singles_J(panel: RecordedPanel, rows: Rows) -> Floats:
    """Each judge's own accuracy on these rows."""
    return np.array([accuracy(Labelled(p_N, panel.label_N[rows])) for p_N in panel.table.p_a_NJ[rows].T])


def best_picked(panel: RecordedPanel, gold: int, draws: int) -> Draws:
    """The judge that does best on the gold labels, alone."""
    found = []
    for chosen, rest in gold_draws(panel, gold, draws):
        best = int(np.argmax(singles_J(panel, chosen)))
        found.append(singles_J(panel, rest)[best])
    return Draws(float(np.mean(found)), float(np.std(found)))


def weighted(panel: RecordedPanel, gold: int, draws: int, prior: PanelPrior = DEFAULT_PRIOR) -> Draws:
    """Weights from the gold labels, tested on the rest."""
    found = []
    for chosen, rest in gold_draws(panel, gold, draws):
        weights = fit_panel(panel.table.rows(chosen), panel.label_N[chosen], prior)
        beliefs_N = panel_beliefs(panel.table.rows(rest), weights)
        found.append(accuracy(Labelled(beliefs_N, panel.label_N[rest])))
    return Draws(float(np.mean(found)), float(np.std(found)))


def transferred(source: RecordedPanel, target: RecordedPanel, draws: int, prior: PanelPrior) -> float:
    """Mean accuracy on all of `target` of weights from gold labels on `source`."""
    found = []
    for chosen, _ in gold_draws(source, GOLD, draws):
        weights = fit_panel(source.table.rows(chosen), source.label_N[chosen], prior)
        found.append(accuracy(Labelled(panel_beliefs(target.table, weights), target.label_N)))
    return float(np.mean(found))


def gold_draws(panel: RecordedPanel, gold: int, draws: int) -> Iterator[tuple[Rows, Rows]]:
    """The rows with a gold label and the others, for each draw; the same draws for every method."""
    random = np.random.default_rng(0)
    for _ in range(draws):
        order = random.permutation(len(panel.label_N))
        yield order[:gold], order[gold:]


def panel_text(result: PanelResult, draws: int) -> str:
    """The section in Markdown."""

    def points(value: float) -> str:
        return f"{100 * value:.1f}"

    def both(value: Draws) -> str:
        return f"{points(value.mean)} ± {points(value.sd)}"

    rows = [
        ("plain majority (a baseline, not offered)", points(result.majority)),
        ("best judge, known beforehand", points(result.best_single)),
        (f"best judge, picked by {GOLD} gold labels", both(result.best_picked)),
        (f"weights from {GOLD} gold labels", both(result.weighted)),
        (f"the same, no judge turned round (`turn_harmful=False`), {GOLD}", both(result.trusting)),
        ("weights from 50", both(result.weighted_50)),
        ("weights from 100", both(result.weighted_100)),
    ]
    spread = ", ".join(f"{points(mean)} at precision {precision:g}" for precision, mean in result.by_precision)
    return f"""### Panels

Six judges of 2023 (prompt Vanilla) on the {result.pairs} adversarial pairs of LLMBar; both orders averaged, ties one
half. Mean ± standard deviation of accuracy (%) over {draws} random draws of the gold labels, tested on all other pairs.

{table(("belief from", "accuracy"), rows)}

The six are worth {result.effective_votes:.1f} independent votes (Kish). The prior matters little:
{spread}.
What lifts the panel above its best judge is that harmful judges are turned round, and that holds only for pairs like
the gold ones: on LLMBar's 100 natural pairs, where the same judges are right, the weights from adversarial gold earn
{points(result.turned_on_natural)} %, and {points(result.trusting_on_natural)} % with no judge turned. So draw the gold
labels at random from what is judged. Weights from {GOLD} of all 419 pairs, natural and adversarial, earn
{both(result.mixed)} %, the best judge picked by them {both(result.mixed_best_picked)} %: nothing is gained there.
From {GOLD} natural ones come {both(result.natural)} % and, picked, {both(result.natural_best_picked)} %."""

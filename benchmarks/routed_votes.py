"""The parts of `benchmarks.routing` on LLMBar's recorded verdicts: the gain of 65 judges, and intervals that cover."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.llmbar import Setup, Votes, everything, recorded_panel
from benchmarks.routed_gain import RANDOM_SHARE, SHARE, Gain, Judged, right_N, routed_gain
from judges.calibration.labels import Floats
from judges.calibration.prediction_powered import powered_mean
from judges.intervals import student_t_975
from service.labelling.estimates import on_log_odds
from service.labelling.gains import UNFITTED, RoutingCandidate, expected_gains

# Pairs in a set of the usual size, drawn with replacement from the file's 419: a tenth of them is 200 labels.
PAIRS = 2000
COVERED = (
    Setup("GPT-4", "Metrics_Reference"),
    Setup("GPT-4", "Swap"),
    Setup("PaLM2", "Vanilla"),
    Setup("ChatGPT", "Vanilla"),
)
# A panel is admitted where a qualification has shown its members above chance.
LEAST_PANEL = 0.6


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the 95 % interval of a judge's accuracy holds it, 0 to 1: from the random part, powered by beliefs,
    and from all labels as if all were random. `half` is the mean half-width of the first."""

    judge: str
    accuracy: float
    labels: int
    coverage: float
    half: float
    all_labels_coverage: float


def judged_setups(votes: Sequence[Votes], *, with_panel: bool) -> tuple[Judged, ...]:
    """Every setup; with a panel, those whose model's other prompts, the panel, are above chance."""
    setups = sorted({vote.setup for vote in votes})
    panel = recorded_panel(votes, setups, everything)
    p_a_NJ, label_N = panel.table.p_a_NJ, panel.label_N
    right_J = ((1 + np.sign(p_a_NJ - 0.5) * np.sign(label_N - 0.5)[:, None]) / 2).mean(axis=0)
    found = []
    for j, setup in enumerate(setups):
        others = [k for k, other in enumerate(setups) if with_panel and other.model == setup.model and k != j]
        if with_panel and (not others or right_J[others].mean() < LEAST_PANEL):
            continue
        candidates = tuple(
            RoutingCandidate(
                pair_id=item,
                prompt_id=item,
                p_a=float(p_a_NJ[n, j]),
                order_flip=bool(p_a_NJ[n, j] == 0.5),
                panel_p_a=tuple(p_a_NJ[n, others].tolist()),
            )
            for n, item in enumerate(panel.table.comparisons)
        )
        found.append(Judged(f"{setup.model} {setup.prompt}", candidates, label_N))
    return tuple(found)


def vote_gains(votes: Sequence[Votes], draws: int, *, with_panel: bool) -> tuple[Gain, ...]:
    """Of every setup, the most accurate first."""
    gains = [routed_gain(judged, draws) for judged in judged_setups(votes, with_panel=with_panel)]
    return tuple(sorted(gains, key=lambda gain: -gain.accuracy))


def coverages(votes: Sequence[Votes], draws: int) -> tuple[Coverage, ...]:
    """Of four judges, good and bad."""
    wanted = {f"{setup.model} {setup.prompt}" for setup in COVERED}
    return tuple(_coverage(one, draws) for one in judged_setups(votes, with_panel=False) if one.judge in wanted)


def _coverage(judged: Judged, draws: int) -> Coverage:
    """A set of 2,000 pairs a draw: the first are the random part, the targeted ones those of the most expected gain."""
    verdict_N, random = right_N(judged), np.random.default_rng(0)
    belief_N = 1 - expected_gains(judged.candidates, UNFITTED)
    truth, budget = float(verdict_N.mean()), round(SHARE * PAIRS)
    labels = round(RANDOM_SHARE * budget)
    held, halves, naive = [], [], []
    for _ in range(draws):
        rows = random.integers(0, len(verdict_N), PAIRS)
        labelled, others = rows[:labels], rows[labels:]
        interval = powered_mean(verdict_N[labelled], belief_N[labelled], belief_N[others]).interval
        interval = on_log_odds(interval)
        held.append(interval.low <= truth <= interval.high)
        halves.append((interval.high - interval.low) / 2)
        targeted = others[np.argsort(belief_N[others], kind="stable")[: budget - labels]]
        naive.append(_holds(verdict_N[np.concatenate([labelled, targeted])], truth))
    return Coverage(judged.judge, truth, labels, float(np.mean(held)), float(np.mean(halves)), float(np.mean(naive)))


def _holds(value_N: Floats, truth: float) -> bool:
    half = student_t_975(len(value_N) - 1) * float(value_N.std(ddof=1)) / len(value_N) ** 0.5
    return abs(float(value_N.mean()) - truth) <= half

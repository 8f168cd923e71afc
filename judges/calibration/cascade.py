"""A cheap judge first, and the strong one where the cheap one is unsure.

Sure is |log-odds of p_a| at or above a threshold, which is chosen on gold labels for the accuracy that one is willing
to lose. The recorded verdicts of both judges show the cost before any call is made (`simulate`).
Left out: more than two steps; two cascades in a row make three.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from judges.calibration.labels import Floats, Labelled, check_probabilities
from judges.calibration.reliability import accuracy
from judges.choices import logit
from judges.errors import CalibrationError, NoLabels, UnequalLengths
from judges.gathering import all_of
from judges.records import Comparison, Preference, PrincipleVerdict


class ComparisonJudge(Protocol):
    """Whoever gives a verdict on a comparison, both orders inside."""

    async def __call__(self, comparison: Comparison, /) -> PrincipleVerdict: ...


@dataclass(frozen=True, slots=True)
class CascadeVerdict:
    """The verdict that counts, and whether the strong judge was asked for it. `cheap` is what the first one said."""

    verdict: PrincipleVerdict
    cheap: PrincipleVerdict
    asked_strong: bool


@dataclass(frozen=True, slots=True)
class CascadeRun:
    """One verdict a comparison, in their order."""

    verdicts: tuple[CascadeVerdict, ...]

    @property
    def saved(self) -> float:
        """The share of comparisons that the strong judge never saw."""
        return 1 - sum(one.asked_strong for one in self.verdicts) / max(1, len(self.verdicts))


@dataclass(frozen=True, slots=True, eq=False)
class RecordedPairs:
    """Verdicts of both judges and labels on N comparisons, each of shape N, 0 to 1. An abstention is 0.5."""

    cheap_p_a_N: Floats
    strong_p_a_N: Floats
    label_N: Floats

    def __post_init__(self) -> None:
        if not len(self.cheap_p_a_N) == len(self.strong_p_a_N) == len(self.label_N):
            raise UnequalLengths("the cheap judge, the strong judge and the labels need one value a comparison each")
        if len(self.label_N) == 0:
            raise NoLabels("a cascade's threshold is chosen on gold labels; there are none")
        for name, values_N in (("cheap belief", self.cheap_p_a_N), ("strong belief", self.strong_p_a_N)):
            check_probabilities(name, values_N)
        check_probabilities("label", self.label_N)

    def rows(self, at: NDArray[np.intp]) -> "RecordedPairs":
        """Only these comparisons, in this order."""
        return RecordedPairs(self.cheap_p_a_N[at], self.strong_p_a_N[at], self.label_N[at])


@dataclass(frozen=True, slots=True)
class CascadeReport:
    """`saved` is the share of comparisons that the strong judge never saw; `lost` the accuracy given up for it."""

    threshold: float
    saved: float
    accuracy: float
    strong_accuracy: float

    @property
    def lost(self) -> float:
        """Accuracy of the strong judge alone less the cascade's; below 0 where the cascade does better."""
        return self.strong_accuracy - self.accuracy


async def judge_in_cascade(
    cheap: ComparisonJudge, strong: ComparisonJudge, comparison: Comparison, threshold: float
) -> CascadeVerdict:
    """Ask `cheap`; ask `strong` too where the first abstained or its |log-odds| are below `threshold`."""
    first = await cheap(comparison)
    if isinstance(first.verdict, Preference) and abs(logit(first.verdict.p_a)) >= threshold:
        return CascadeVerdict(first, first, asked_strong=False)
    return CascadeVerdict(await strong(comparison), first, asked_strong=True)


async def judge_all_in_cascade(
    cheap: ComparisonJudge, strong: ComparisonJudge, comparisons: Iterable[Comparison], threshold: float
) -> CascadeRun:
    """Every comparison at once; the strong judge's requests start as soon as the cheap one was unsure."""
    return CascadeRun(await all_of(judge_in_cascade(cheap, strong, one, threshold) for one in comparisons))


def simulate(pairs: RecordedPairs, threshold: float) -> CascadeReport:
    """What the cascade would have decided, saved and lost on recorded verdicts."""
    sure_N = _sureness_N(pairs) >= threshold
    decided_N = np.where(sure_N, pairs.cheap_p_a_N, pairs.strong_p_a_N)
    return CascadeReport(
        threshold=threshold,
        saved=float(sure_N.mean()),
        accuracy=accuracy(Labelled(decided_N, pairs.label_N)),
        strong_accuracy=accuracy(Labelled(pairs.strong_p_a_N, pairs.label_N)),
    )


def choose_threshold(gold: RecordedPairs, most_lost: float) -> CascadeReport:
    """The lowest threshold reached from above before the accuracy lost on gold passes `most_lost` (0 to 1).

    It starts where the cheap judge decides nothing and stops at the first step too far, so that one lucky low
    threshold among many is not taken. `threshold` is infinite where no step is allowed: the strong judge does all.
    """
    if not 0 <= most_lost <= 1:
        raise CalibrationError(f"most_lost is {most_lost}; it is a share of accuracy from 0 to 1")
    chosen = simulate(gold, float("inf"))
    for threshold in np.unique(_sureness_N(gold))[::-1]:
        step = simulate(gold, float(threshold))
        if step.lost > most_lost + 1e-12:
            break
        chosen = step
    return chosen


def _sureness_N(pairs: RecordedPairs) -> Floats:
    return np.array([abs(logit(float(p))) for p in pairs.cheap_p_a_N], dtype=np.float64)

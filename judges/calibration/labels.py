"""People's labels beside a judge's beliefs: the columns that every fit and every measure here reads, checked once.

N counts comparisons. A label says whether reply A is better: 1 yes, 0 no, 0.5 a tie; several people on one comparison
are averaged before they come here. Left out: who labelled, and what a label costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judges.errors import ContradictoryLabels, NoLabels, NotAProbability, OneLabelClass, UnequalLengths

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledBelief:
    """What a judge believed of one comparison, and what one person said. Both are about reply A, 0 to 1."""

    comparison_id: str
    p_a: float
    label_a: float


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Beliefs and labels of N comparisons in step, each 0 to 1, in arrays of shape N."""

    p_a_N: Floats
    label_N: Floats

    def __post_init__(self) -> None:
        if self.p_a_N.shape != self.label_N.shape:
            raise UnequalLengths(f"{len(self.p_a_N)} beliefs stand beside {len(self.label_N)} labels; give one each")
        if self.label_N.size == 0:
            raise NoLabels("there are no labels; label at least one comparison")
        for name, values_N in (("belief", self.p_a_N), ("label", self.label_N)):
            check_probabilities(name, values_N)

    def mirrored(self) -> "Labelled":
        """Each comparison in both orientations, 2N of them: a fit or measure of these has no favoured side."""
        return Labelled(np.concatenate([self.p_a_N, 1 - self.p_a_N]), np.concatenate([self.label_N, 1 - self.label_N]))


def check_probabilities(name: str, values_N: Floats) -> None:
    """Raise NotAProbability at the first value that is no number from 0 to 1."""
    wrong_N = ~((values_N >= 0) & (values_N <= 1))
    if wrong_N.any():
        at = int(np.flatnonzero(wrong_N)[0])
        raise NotAProbability(f"{name} number {at} is {values_N[at]}; it must be a number from 0 to 1")


def check_both_classes(label_N: Floats) -> None:
    """Raise where the labels cannot tell a right verdict from a wrong one: all cancel out, or all name one side."""
    if np.all(label_N == 0.5):
        raise ContradictoryLabels(f"the labels of all {label_N.size} comparisons cancel out; ask more people")
    if not (label_N > 0.5).any() or not (label_N < 0.5).any():
        side = "A" if (label_N > 0.5).any() else "B"
        raise OneLabelClass(
            f"all {label_N.size} labels name reply {side}; order the replies without regard to the label"
        )


def labelled(beliefs: Sequence[LabelledBelief]) -> Labelled:
    """One row a comparison, in the order of first mention; what several people said of it is averaged."""
    rows: dict[str, list[LabelledBelief]] = {}
    for belief in beliefs:
        rows.setdefault(belief.comparison_id, []).append(belief)
    return Labelled(
        np.array([np.mean([row.p_a for row in same]) for same in rows.values()], dtype=np.float64),
        np.array([np.mean([row.label_a for row in same]) for same in rows.values()], dtype=np.float64),
    )

"""Several judges' verdicts on the same comparisons as one table, and how far those judges are copies of each other.

N counts comparisons, J judges. A judge that abstained has no belief there: it is masked, not one half.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from judges.calibration.labels import Floats, check_probabilities
from judges.combine import HIGHEST_P, LOWEST_P
from judges.errors import CalibrationError, NoLabels, Undefined, UnequalLengths
from judges.records import Preference, PrincipleVerdict


@dataclass(frozen=True, slots=True, eq=False)
class VoteTable:
    """Row n is `comparisons[n]`, column j is `judges[j]`; `p_a_NJ` counts only where `answered_NJ` is true."""

    comparisons: tuple[str, ...]
    judges: tuple[str, ...]
    p_a_NJ: Floats
    answered_NJ: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = (len(self.comparisons), len(self.judges))
        if self.p_a_NJ.shape != shape or self.answered_NJ.shape != shape:
            raise UnequalLengths(
                f"beliefs of shape {self.p_a_NJ.shape} do not fit {shape[0]} comparisons by {shape[1]}"
            )
        check_probabilities("belief", self.p_a_NJ[self.answered_NJ])

    def rows(self, at: NDArray[np.intp]) -> "VoteTable":
        """Only these comparisons, in this order."""
        names = tuple(self.comparisons[row] for row in at)
        return VoteTable(names, self.judges, self.p_a_NJ[at], self.answered_NJ[at])

    def logits_NJ(self) -> Floats:
        """Log-odds of the beliefs kept within 0.01 and 0.99; 0, no evidence, where a judge abstained."""
        beliefs_NJ = np.where(self.answered_NJ, np.clip(self.p_a_NJ, LOWEST_P, HIGHEST_P), 0.5)
        return np.asarray(logit(beliefs_NJ), dtype=np.float64)


def vote_table(verdicts: Sequence[PrincipleVerdict]) -> VoteTable:
    """The table of verdicts under one principle: comparisons and judges in the order of first mention."""
    principles = {verdict.principle_id for verdict in verdicts}
    if len(principles) > 1:
        raise CalibrationError(f"verdicts under {sorted(principles)} are mixed; make one table for each principle")
    row = {name: n for n, name in enumerate(dict.fromkeys(v.comparison_id for v in verdicts))}
    column = {name: j for j, name in enumerate(dict.fromkeys(v.judge for v in verdicts))}
    p_a_NJ, answered_NJ = np.full((len(row), len(column)), 0.5), np.zeros((len(row), len(column)), dtype=np.bool_)
    for v in verdicts:
        if isinstance(v.verdict, Preference):
            at = row[v.comparison_id], column[v.judge]
            p_a_NJ[at], answered_NJ[at] = v.verdict.p_a, True
    return VoteTable(tuple(row), tuple(column), p_a_NJ, answered_NJ)


def effective_votes(table: VoteTable, label_N: Floats) -> float:
    """How many independent judges these J are worth: J / (1 + (J - 1) r), Kish's design effect (1965).

    r is the mean correlation, over pairs of judges, of being right: of evidence * sign(label). Between 1, all the
    same, and J, or above it where judges err on different comparisons more than by chance.
    """
    if len(label_N) != len(table.comparisons):
        raise UnequalLengths(f"{len(label_N)} labels stand beside {len(table.comparisons)} comparisons")
    if len(label_N) < 3:
        raise NoLabels("how judges err together needs at least three labels")
    judges = len(table.judges)
    if judges == 1:
        return 1.0
    right_NJ = table.logits_NJ() * np.sign(label_N - 0.5)[:, None]
    spread_J = right_NJ.std(axis=0)
    if not (spread_J > 0).all():
        constant = table.judges[int(np.argmin(spread_J))]
        raise Undefined(f"judge {constant!r} is always equally right on these labels; it correlates with nothing")
    together_JJ = np.corrcoef(right_NJ, rowvar=False)
    mean_r = (together_JJ.sum() - judges) / (judges * (judges - 1))
    return float(judges / (1 + (judges - 1) * mean_r))


def spread(logits_J: Floats) -> float:
    """Disagreement on one comparison: the standard deviation of the answering judges' log-odds, 0 for one judge."""
    return float(logits_J.std()) if logits_J.size else 0.0

"""How far a judge's probabilities can be trusted: accuracy, Brier score, calibration error and its bins, length bias.

Measure on both orientations (`Labelled.mirrored`): which reply is called A is an accident.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from judges.calibration.labels import Floats, Labelled
from judges.errors import Undefined, UnequalLengths


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """`count` comparisons of neighbouring belief: what was believed on average, and how often people agreed."""

    count: int
    mean_p_a: float
    mean_label: float


def accuracy(pairs: Labelled) -> float:
    """The share of right verdicts. A tied belief is half right, and so is any verdict where the label is a tie."""
    side_N, truth_N = np.sign(pairs.p_a_N - 0.5), np.sign(pairs.label_N - 0.5)
    return float(np.mean((1 + side_N * truth_N) / 2))


def brier(pairs: Labelled) -> float:
    """Mean of (belief - label)^2 (Brier 1950): 0 is perfect, 0.25 is what a constant one half earns without ties."""
    return float(np.mean((pairs.p_a_N - pairs.label_N) ** 2))


def reliability_bins(pairs: Labelled, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """At most `bins` bins of about equal count, from the least belief to the greatest.

    Equal beliefs share a bin, else the order of the rows would decide the result; so there may be fewer bins.
    """
    order_N = np.argsort(pairs.p_a_N, kind="stable")
    p_N, label_N = pairs.p_a_N[order_N], pairs.label_N[order_N]
    ideal = np.arange(1, bins) * len(p_N) // bins
    cuts = sorted({0, len(p_N), *np.searchsorted(p_N, p_N[ideal], side="left").tolist()})
    return tuple(
        ReliabilityBin(end - start, float(p_N[start:end].mean()), float(label_N[start:end].mean()))
        for start, end in itertools.pairwise(cuts)
    )


def expected_calibration_error(pairs: Labelled, bins: int = 10) -> float:
    """Mean over comparisons of |belief - share of labels| in their bin (Naeini et al. 2015), equal-count bins."""
    gaps = ((b.count, abs(b.mean_p_a - b.mean_label)) for b in reliability_bins(pairs, bins))
    return sum(count * gap for count, gap in gaps) / len(pairs.p_a_N)


def partial_correlation(margin_N: Floats, length_gap_N: Floats, given_N: Floats) -> float:
    """Pearson's correlation of the judge's margin with the length gap that is left once `given_N` is known.

    With people's labels as `given_N` (shape N each), what is left is length that the judge pays for and people do not.
    """
    if not len(margin_N) == len(length_gap_N) == len(given_N):
        raise UnequalLengths("margin, length gap and label need one value a comparison each")
    ab, ag, bg = (
        _correlation(x, y) for x, y in ((margin_N, length_gap_N), (margin_N, given_N), (length_gap_N, given_N))
    )
    left = (1 - ag**2) * (1 - bg**2)
    if left < 1e-12:
        raise Undefined("the label determines the margin or the length gap fully; nothing is left to correlate")
    return (ab - ag * bg) / math.sqrt(left)


def _correlation(x_N: Floats, y_N: Floats) -> float:
    x_N, y_N = x_N - x_N.mean(), y_N - y_N.mean()
    spread = math.sqrt(float(x_N @ x_N) * float(y_N @ y_N))
    if not spread > 0:
        raise Undefined("a column has one value only (or a value that is no number); it correlates with nothing")
    return float(x_N @ y_N) / spread

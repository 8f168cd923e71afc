"""Wilson's interval for a proportion (Wilson 1927; Brown, Cai and DasGupta 2001 recommend it for small counts), also of
answers that come in clusters, and Student's quantile for a mean. Plain standard library."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % bounds; those of a share are in 0 to 1."""

    estimate: float
    low: float
    high: float


def wilson(successes: float, trials: float, z: float = Z_95) -> Interval:
    """The interval for `successes` of `trials`; a tie may count as half a success. Without trials it is 0 to 1.

    `z` is the normal quantile: 1.96 for 95 % between both bounds, 1.645 for 95 % on one side of one bound.
    """
    if trials == 0:
        return Interval(0.5, 0.0, 1.0)
    share, z2 = successes / trials, z**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def clustered_wilson(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """The interval for the mean of `values` (each 0, 0.5 or 1), of which those of one cluster may go together.

    Wilson's, with as many trials as independent answers would need for the variance between clusters (Korn and Graubard
    1998); never more than there are values. Where all values are equal, a cluster counts as one answer.
    """
    sums: dict[str, float] = defaultdict(float)
    trials = len(values)
    if trials == 0:
        return wilson(0, 0)
    share = sum(values) / trials
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - share
    groups = len(sums)
    if groups == trials:
        return wilson(sum(values), trials)
    if groups == 1 or len(set(values)) == 1:
        independent = float(groups)
    else:
        variance = groups / (groups - 1) * sum(gap**2 for gap in sums.values()) / trials**2
        independent = min(float(trials), max(1.0, share * (1 - share) / variance)) if variance > 0 else float(trials)
    return wilson(share * independent, independent)


def student_t_975(freedom: float) -> float:
    """The 97.5 % quantile of Student's t. Exact for 1 and 2 degrees, else Hill's expansion (CACM 396), off by 0.004."""
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z, n = Z_95, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n ** (power + 1) for power, term in enumerate(terms))

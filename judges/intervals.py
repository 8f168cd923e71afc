"""Wilson's interval for a proportion (Wilson 1927; Brown, Cai and DasGupta 2001 recommend it for small counts)."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % bounds, all in 0 to 1."""

    estimate: float
    low: float
    high: float


def wilson(successes: float, trials: int) -> Interval:
    """The interval for `successes` of `trials`; a tie may count as half a success. Without trials it is 0 to 1."""
    if trials == 0:
        return Interval(0.5, 0.0, 1.0)
    share, z2 = successes / trials, Z_95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))

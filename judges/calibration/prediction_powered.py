"""The mean of people's labels, made sharper by a judge's verdicts on many more items: PPI++ (arXiv:2311.01453).

With y the labels of n items, f the judge's beliefs on them and g its beliefs on N others (sections 3 and 6 there):

    theta  = lambda * mean(g) + mean(y - lambda f)
    se^2   = lambda^2 var(g) / N + var(y - lambda f) / n
    lambda = cov(y, f) / ((1 + n/N) var(f and g)), held to 0..1

A judge that is wrong adds nothing and takes nothing: lambda goes to 0 and the mean of the labels is left. The labelled
items must be a random part of those in question, one a prompt, and the judge the same on all.

Three things differ from the paper, for few labels. The variance of the residuals is divided by n - 2 where lambda was
fitted, since the fit makes them smaller than they are. The quantile is Student's, its freedom from both variances
(Welch 1947). And an interval is never narrower than 3/n to either side: n labels without an exception allow that rate
of them. What no symmetrical interval does well stays: where the rarer outcome is one in ten or less, 200 labels alone,
and powered ones, cover 92 to 94 %. Left out: rates of clustered items, and the rate of a finite list (for which this
is wider than need be).
"""

import math
from dataclasses import dataclass

import numpy as np

from judges.calibration.labels import Floats, check_probabilities
from judges.errors import NoLabels, TooFewLabels, UnequalLengths
from judges.intervals import Interval, student_t_975

FEWEST_LABELS = 10


@dataclass(frozen=True, slots=True)
class PoweredMean:
    """`interval` is the mean's, 95 %, cut to 0..1; `labels_only` is what the n labels alone give, by the same rules.

    `power` is the lambda above. `effective_labels` is n times the square of how much narrower the interval became: so
    many labels alone would have served. It is n or more, but for chance, and never more than all items.
    """

    interval: Interval
    labels_only: Interval
    power: float
    labels: int
    effective_labels: float


def powered_mean(label_N: Floats, belief_N: Floats, belief_M: Floats) -> PoweredMean:
    """Labels and beliefs of the N labelled items, and beliefs of the M others; all from 0 to 1, N at least 10.

    An item on which the judge abstained stays in, with belief 0.5: to leave it out would leave the population.
    """
    _check(label_N, belief_N, belief_M)
    n, m = len(label_N), len(belief_M)
    power = _power(label_N, belief_N, belief_M)
    residual_N = label_N - power * belief_N
    fitted = 2 if power > 0 else 1
    of_labels = float(np.sum((residual_N - residual_N.mean()) ** 2)) / (n - fitted) / n
    of_beliefs = power**2 * float(belief_M.var(ddof=1)) / m
    freedom = _welch(of_labels, n - fitted, of_beliefs, m - 1)
    half = max(student_t_975(freedom) * math.sqrt(of_labels + of_beliefs), 3 / n)
    half_alone = max(student_t_975(n - 1) * math.sqrt(float(label_N.var(ddof=1)) / n), 3 / n)
    return PoweredMean(
        interval=_interval(power * float(belief_M.mean()) + float(residual_N.mean()), half),
        labels_only=_interval(float(label_N.mean()), half_alone),
        power=power,
        labels=n,
        effective_labels=min(n * (half_alone / half) ** 2, float(n + m)),
    )


def _power(label_N: Floats, belief_N: Floats, belief_M: Floats) -> float:
    together = float((label_N - label_N.mean()) @ (belief_N - belief_N.mean())) / (len(label_N) - 1)
    spread = float(np.concatenate([belief_N, belief_M]).var(ddof=1))
    if spread == 0:
        return 0.0
    return min(max(together / ((1 + len(label_N) / len(belief_M)) * spread), 0.0), 1.0)


def _interval(mean: float, half: float) -> Interval:
    estimate, low, high = (min(max(value, 0.0), 1.0) for value in (mean, mean - half, mean + half))
    return Interval(estimate, low, high)


def _welch(first: float, first_freedom: int, second: float, second_freedom: int) -> float:
    total = first**2 / first_freedom + second**2 / second_freedom
    return (first + second) ** 2 / total if total > 0 else float(first_freedom)


def _check(label_N: Floats, belief_N: Floats, belief_M: Floats) -> None:
    if len(label_N) != len(belief_N):
        raise UnequalLengths(f"{len(label_N)} labels stand beside {len(belief_N)} beliefs; give both for each item")
    if len(label_N) == 0:
        raise NoLabels("no item is labelled; label a random part of them")
    if len(label_N) < FEWEST_LABELS or len(belief_M) < 2:
        raise TooFewLabels(
            f"{len(label_N)} labelled and {len(belief_M)} other items give no honest interval; "
            f"label at least {FEWEST_LABELS} and have the judge read at least 2 others"
        )
    for name, values in (("label", label_N), ("belief", belief_N), ("belief of an unlabelled item", belief_M)):
        check_probabilities(name, values)

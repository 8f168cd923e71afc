"""Isotonic calibration: the rising curve nearest to people's labels, held to the diagonal while they are few.

It follows any shape, and wants more labels than one slope does (scaling.py): a few hundred.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from judges.calibration.labels import Floats, Labelled, check_both_classes
from judges.combine import HIGHEST_P, LOWEST_P

# Weighs as many labels, spread evenly over the beliefs and each exactly as often right as believed.
PRIOR_LABELS = 10.0
PRIOR_POINTS = 21


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between (p, belief) points, both rising; level beyond the first and the last of them."""

    p: tuple[float, ...]
    belief: tuple[float, ...]
    pairwise: bool
    labels: int

    def apply(self, p_a: float) -> float:
        """The calibrated belief, 0.01 to 0.99; of pairs `apply(1 - p)` is `1 - apply(p)`."""
        curve = self._curve(p_a)
        belief = (curve + 1 - self._curve(1 - p_a)) / 2 if self.pairwise else curve
        return min(max(belief, LOWEST_P), HIGHEST_P)

    def _curve(self, p: float) -> float:
        return float(np.interp(min(max(p, LOWEST_P), HIGHEST_P), self.p, self.belief))


def fit_isotonic(pairs: Labelled, *, pairwise: bool = True) -> Isotonic:
    """Pool adjacent violators (Barlow et al. 1972) over the labels and the prior's points on the diagonal.

    `pairwise` fits both orientations at half weight each, so that no side is favoured; switch it off for beliefs
    about single replies.
    """
    check_both_classes(pairs.label_N)
    both = pairs.mirrored() if pairwise else pairs
    prior_P = np.linspace(LOWEST_P, HIGHEST_P, PRIOR_POINTS)
    x_M = np.concatenate([np.clip(both.p_a_N, LOWEST_P, HIGHEST_P), prior_P])
    y_M = np.concatenate([both.label_N, prior_P])
    weight_M = np.concatenate(
        [
            np.full(both.label_N.size, pairs.label_N.size / both.label_N.size),
            np.full(PRIOR_POINTS, PRIOR_LABELS / PRIOR_POINTS),
        ]
    )
    # Rounded, so that p and 1 - (1 - p) are one place.
    place_K, at_M = np.unique(np.round(x_M, 12), return_inverse=True)
    weight_K = _sums(at_M, weight_M)
    fitted = isotonic_regression(_sums(at_M, weight_M * y_M) / weight_K, weights=weight_K)
    return _curve_through(place_K, weight_K, fitted.x, pairwise=pairwise, labels=pairs.label_N.size)


def _curve_through(place_K: Floats, weight_K: Floats, fit_K: Floats, *, pairwise: bool, labels: int) -> Isotonic:
    """One point a level stretch, at its centre of weight: a curve without jumps."""
    _, stretch_K = np.unique(np.round(fit_K, 12), return_inverse=True)
    weight = _sums(stretch_K, weight_K)
    centre, level = _sums(stretch_K, weight_K * place_K) / weight, _sums(stretch_K, weight_K * fit_K) / weight
    return Isotonic(tuple(centre.tolist()), tuple(level.tolist()), pairwise, labels)


def _sums(group_M: NDArray[np.intp], values_M: Floats) -> Floats:
    """The sum of the values of each group, groups numbered from 0."""
    return np.asarray(np.bincount(group_M, values_M), dtype=np.float64)

"""Isotonic calibration: the rising curve nearest to people's labels, held to the diagonal while they are few.

It follows any shape, and wants more labels than one slope does (scaling.py): a few hundred.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from judges.calibration.labels import Floats, Labelled, check_both_classes
from judges.combine import HIGHEST_P, LOWEST_P

# Weighs as many labels, spread evenly over the beliefs and each exactly as often right as believed; more where there
# are few, since a handful in one place would outweigh the prior's share of that place.
PRIOR_LABELS = 20.0
FEW_LABELS = 10.0
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
    labels = pairs.label_N.size
    prior_labels = PRIOR_LABELS * (1 + FEW_LABELS / labels)
    weight_M = np.repeat([labels / both.label_N.size, prior_labels / PRIOR_POINTS], [both.label_N.size, PRIOR_POINTS])
    # Rounded, so that p and 1 - (1 - p) are one place.
    place_K, at_M = np.unique(np.round(x_M, 12), return_inverse=True)
    weight_K = _sums(at_M, weight_M)
    fitted = isotonic_regression(_sums(at_M, weight_M * y_M) / weight_K, weights=weight_K)
    kept_K = _corners(fitted.x)
    return Isotonic(tuple(place_K[kept_K].tolist()), tuple(fitted.x[kept_K].tolist()), pairwise, labels)


def _corners(fit_K: Floats) -> NDArray[np.bool_]:
    """Where a level stretch begins or ends: between those places the curve is straight."""
    steps = np.diff(fit_K) > 1e-12
    return np.asarray(np.concatenate([[True], steps]) | np.concatenate([steps, [True]]), dtype=np.bool_)


def _sums(group_M: NDArray[np.intp], values_M: Floats) -> Floats:
    """The sum of the values of each group, groups numbered from 0."""
    return np.asarray(np.bincount(group_M, values_M), dtype=np.float64)

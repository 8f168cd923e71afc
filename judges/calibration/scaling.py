"""Temperature scaling: a judge's log-odds times a slope fitted to people's labels, held to 1 while they are few.

For a pair of replies there is no bias: it would favour whatever is called A. A judge that answers about one reply
alone (does it comply?) may lean to yes or no, and then a bias is fitted too. A slope is never negative: a judge whose
verdicts are best turned round should not be calibrated but weighed against others (panel.py), or not used.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from judges.calibration.labels import Floats, Labelled, check_both_classes
from judges.combine import HIGHEST_P, LOWEST_P

# A judge's log-odds are off by a factor of 0 to 2 in 19 of 20 cases, until labels say otherwise.
SLOPE_SD, BIAS_SD = 0.5, 1.0
IDENTITY, SPREAD = np.array([1.0, 0.0]), np.array([SLOPE_SD, BIAS_SD])


@dataclass(frozen=True, slots=True)
class Scaling:
    """Belief = sigmoid(slope * logit(p) + bias), 0.01 to 0.99. The temperature is 1 / slope."""

    slope: float
    bias: float
    labels: int

    def apply(self, p_a: float) -> float:
        """The calibrated belief; without a bias `apply(1 - p)` is `1 - apply(p)`."""
        belief = float(expit(self.slope * logit(min(max(p_a, LOWEST_P), HIGHEST_P)) + self.bias))
        return min(max(belief, LOWEST_P), HIGHEST_P)


def fit_scaling(pairs: Labelled, *, with_bias: bool = False) -> Scaling:
    """The slope (and bias) of greatest posterior: log loss of the labels plus a normal prior at slope 1, bias 0.

    `with_bias` only for beliefs about single replies, never for pairs.
    """
    check_both_classes(pairs.label_N)
    z_N = logit(np.clip(pairs.p_a_N, LOWEST_P, HIGHEST_P))

    def loss(slope_bias: Floats) -> float:
        x_N = slope_bias[0] * z_N + slope_bias[1]
        log_loss = float(np.sum(np.logaddexp(0, x_N) - pairs.label_N * x_N))
        return log_loss + float(np.sum(((slope_bias - IDENTITY) / SPREAD) ** 2)) / 2

    def gradient(slope_bias: Floats) -> Floats:
        error_N = expit(slope_bias[0] * z_N + slope_bias[1]) - pairs.label_N
        slopes = np.array([error_N @ z_N, error_N.sum()], dtype=np.float64)
        return np.asarray(slopes + (slope_bias - IDENTITY) / SPREAD**2, dtype=np.float64)

    bounds = [(0, None), (None, None) if with_bias else (0, 0)]
    best = minimize(loss, IDENTITY, jac=gradient, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    return Scaling(float(best.x[0]), float(best.x[1]), pairs.label_N.size)

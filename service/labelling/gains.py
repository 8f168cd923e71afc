"""How much a person's label on a pair is expected to correct: the chance that the verdict in the mix is wrong.

    belief in A = sigmoid(judge z + flipped z f + conflict z c + panel m)

z is the log-odds of the judge's belief, f is 1 where the verdicts of the two orders name different replies, c is how
far the principles cancel out (0 to 1), m is the mean of the panel's log-odds. No intercept: called the other way round
a pair gets the opposite belief.

Fitted by log loss of people's labels plus a normal prior: the unfitted weights times a trust that may well be 0 or
negative (a judge may be wrong mostly), and a little freedom of each. Where labels leave it open whether the evidence
points the right way at all, every pair gains the same: to rank by evidence that may be upside down is worse than to
draw at random. It takes more to go against the judge than with it. Left out: what a label teaches of other pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from judges.calibration.labels import Floats, check_probabilities
from judges.choices import logit
from judges.combine import HIGHEST_P, LOWEST_P
from service.errors import InvalidInput

# Of the trust, which multiplies all weights, and of each weight beside that; before any label.
TRUST_SD, WEIGHT_SD = 1.0, 0.25
# In standard deviations of the log-odds that the model gives, on average, to the side that the unfitted one would take.
WITH_SD, AGAINST_SD = 0.7, 1.0
_MOST_STEPS, _CLOSE = 100, 1e-9


@dataclass(frozen=True, slots=True)
class RoutingCandidate:
    """A pair that may go to people. Every belief is that reply A is better, 0 to 1.

    `p_a` is the belief that the mix would take, calibrated where that is possible; 0.5 where no judge answered.
    `order_flip`: the two orders named different replies. `principle_p_a` has a belief for each principle that answered,
    `panel_p_a` one for each other judge, or other prompt of the same judge: give only those known to be above chance.
    `novelty` is 0 for a prompt like many others to 1 for one like none; None where nobody measured it.
    """

    pair_id: str
    prompt_id: str
    p_a: float
    order_flip: bool = False
    principle_p_a: tuple[float, ...] = ()
    panel_p_a: tuple[float, ...] = ()
    novelty: float | None = None

    def __post_init__(self) -> None:
        novelty = () if self.novelty is None else (self.novelty,)
        values = (self.p_a, *self.principle_p_a, *self.panel_p_a, *novelty)
        check_probabilities(f"pair {self.pair_id!r}: value", np.array(values, dtype=np.float64))

    def alone(self) -> "RoutingCandidate":
        """The same pair as if neither panel nor single principles had been asked."""
        return replace(self, principle_p_a=(), panel_p_a=())


@dataclass(frozen=True, slots=True)
class LabelledCandidate:
    """A candidate and what people said: 1 where A is better, 0 where B is, 0.5 for a tie, or their mean."""

    candidate: RoutingCandidate
    label_a: float


@dataclass(frozen=True, slots=True)
class GainModel:
    """The weights of the equation above. Unfitted, a flip or a full conflict halves the evidence, and the panel counts
    as one more judge. `shown`: labels bear out which way the evidence points, or there are none and it is believed."""

    judge: float = 1.0
    flipped: float = -0.5
    conflict: float = -0.5
    panel: float = 1.0
    labels: int = 0
    shown: bool = True


UNFITTED = GainModel()


def expected_gains(candidates: Sequence[RoutingCandidate], model: GainModel) -> Floats:
    """For each pair the accuracy that a right label adds to the mix, 0 to 1.

    One half where the verdict is a tie, and everywhere where the model is not shown to point the right way.
    """
    if not candidates or not model.shown:
        return np.full(len(candidates), 0.5)
    side_N = np.sign(np.array([candidate.p_a for candidate in candidates]) - 0.5)
    wrong_N = _sigmoid(-side_N * (_features(candidates) @ _weights(model)))
    return np.asarray(np.where(side_N == 0, 0.5, wrong_N), dtype=np.float64)


def fit_gain_model(labelled: Sequence[LabelledCandidate]) -> GainModel:
    """The weights of greatest posterior, from labels of a random part; without labels, the unfitted ones."""
    if not labelled:
        return UNFITTED
    x_NF = _features([row.candidate for row in labelled])
    label_N = np.array([row.label_a for row in labelled], dtype=np.float64)
    if not bool(np.all((label_N >= 0) & (label_N <= 1))):
        raise InvalidInput("a label is outside 0 to 1; give 1 where reply A is better, 0 where B is, 0.5 for a tie")
    prior_F = _weights(UNFITTED)
    freedom_FF = TRUST_SD**2 * np.outer(prior_F, prior_F) + WEIGHT_SD**2 * np.eye(len(prior_F))
    precision_FF = np.asarray(np.linalg.inv(freedom_FF), dtype=np.float64)
    best_F = _newton(x_NF, label_N, prior_F, precision_FF)
    judge, flipped, conflict, panel = (float(weight) for weight in best_F)
    covariance_FF = np.linalg.inv(_curvature_FF(x_NF, best_F) + precision_FF)
    mean_F = np.sign(x_NF @ prior_F) @ x_NF / len(labelled)
    trust, trust_sd = float(mean_F @ best_F), math.sqrt(float(mean_F @ covariance_FF @ mean_F))
    shown = trust >= WITH_SD * trust_sd or trust < -AGAINST_SD * trust_sd
    return GainModel(judge, flipped, conflict, panel, len(labelled), shown)


def _newton(x_NF: Floats, label_N: Floats, prior_F: Floats, precision_FF: Floats) -> Floats:
    """The weights of least log loss and prior's: a convex sum, so one answer. A step that would go up is halved."""

    def loss(weight_F: Floats) -> float:
        logit_N, off_F = x_NF @ weight_F, weight_F - prior_F
        return float(np.sum(np.logaddexp(0, logit_N) - label_N * logit_N) + off_F @ precision_FF @ off_F / 2)

    weight_F = prior_F
    for _ in range(_MOST_STEPS):
        error_N = _sigmoid(x_NF @ weight_F) - label_N
        gradient_F = error_N @ x_NF + precision_FF @ (weight_F - prior_F)
        step_F = np.linalg.solve(_curvature_FF(x_NF, weight_F) + precision_FF, gradient_F)
        while loss(weight_F - step_F) > loss(weight_F) and np.max(np.abs(step_F)) > _CLOSE:
            step_F = step_F / 2
        if np.max(np.abs(step_F)) <= _CLOSE:
            break
        weight_F = weight_F - step_F
    return weight_F


def _curvature_FF(x_NF: Floats, weight_F: Floats) -> Floats:
    """Of the log loss."""
    belief_N = _sigmoid(x_NF @ weight_F)
    return np.asarray((x_NF.T * (belief_N * (1 - belief_N))) @ x_NF, dtype=np.float64)


def _sigmoid(logit_N: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logit_N)), dtype=np.float64)


def _features(candidates: Sequence[RoutingCandidate]) -> Floats:
    """Shape (N, 4), in the order of the model's weights."""
    return np.array([_row(candidate) for candidate in candidates], dtype=np.float64)


def _row(candidate: RoutingCandidate) -> tuple[float, float, float, float]:
    z = _log_odds(candidate.p_a)
    principles = [_log_odds(p) for p in candidate.principle_p_a]
    panel = [_log_odds(p) for p in candidate.panel_p_a]
    strength = sum(abs(pull) for pull in principles)
    conflict = 1 - abs(sum(principles)) / strength if strength > 0 else 0.0
    return (z, z * candidate.order_flip, z * conflict, sum(panel) / len(panel) if panel else 0.0)


def _log_odds(belief: float) -> float:
    return logit(min(max(belief, LOWEST_P), HIGHEST_P))


def _weights(model: GainModel) -> Floats:
    return np.array([model.judge, model.flipped, model.conflict, model.panel], dtype=np.float64)

"""Bradley-Terry strengths from soft verdicts and declared ties, and how sure they are.

A verdict's odds are exp(strength of A - strength of B) (Bradley and Terry 1952); a declared tie is an outcome of its
own (Davidson 1970), and a pair shown in one order only may favour the reply shown first (Davidson and Beaver 1977). The
fit is the maximum of the posterior under a weak normal prior, a convex problem with one answer, and its covariance is
Laplace's. Many rankings are fitted at once, since a study fits thousands.
Left out: who is compared with whom (pairing.py), and what verdicts contradict each other (cycles.py).
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr
from scipy.stats import norm, qmc

from judges.errors import CannotRank

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

# In logits: two replies drawn at random then differ by 2.8, odds of 17 to 1; few judges are surer of a typical pair.
PRIOR_SD = 2.0
_MOST_STEPS, _LONGEST_STEP, _CLOSE = 60, 2.0, 1e-8
_DRAWS = 512
_BONUS_FITS, _P_FLOOR = 4, 1e-6
_TOSSES = 2  # contests that speak for coin tosses before any scatter is seen


@dataclass(frozen=True, slots=True)
class Contests:
    """Verdicts on C contests between `replies` replies, for N rankings at once.

    `a_C` and `b_C` are the replies' indices. `p_a_NC` is the belief that A is better, 0 to 1; `tie_NC` is how much of
    it is a declared tie, 0 to 1 (then `p_a` is 0.5). `judged_NC` is true where there is a verdict. `position_C` is 1
    where only the order with A first was judged, -1 where only that with B first, and 0 where both were.
    """

    replies: int
    a_C: Indices
    b_C: Indices
    p_a_NC: Floats
    tie_NC: Floats
    judged_NC: Flags
    position_C: Floats


@dataclass(frozen=True, slots=True)
class Strengths:
    """The fit of N rankings. `mean_NK` is each reply's strength in logits, of sum 0; `covariance_NKK` is Laplace's.

    `first_N` is what being shown first adds, in logits; `log_tie_N` the log of Davidson's tie parameter, minus infinity
    where no tie was declared. `noise_N` is the verdicts' scatter about the fit beside that of coin tosses, at most 1.
    """

    mean_NK: Floats
    covariance_NKK: Floats
    first_N: Floats
    log_tie_N: Floats
    noise_N: Floats


@dataclass(frozen=True, slots=True)
class _Slopes:
    """The likelihood at one point: for each contest the excess of the verdict over the fit, and the curvatures."""

    pull_NC: Floats
    tie_pull_NC: Floats
    curve_NC: Floats
    cross_NC: Floats
    tie_curve_NC: Floats


def both_orders(replies: int, a_C: Indices, b_C: Indices, p_a_NC: Floats, judged_NC: Flags) -> Contests:
    """Contests whose verdicts are of both orders; a belief of exactly one half is a declared tie."""
    tie_NC = (p_a_NC == 0.5).astype(np.float64)
    return Contests(replies, a_C, b_C, p_a_NC, tie_NC, judged_NC, np.zeros(len(a_C)))


def fit_strengths(contests: Contests) -> Strengths:
    """Newton's method on the log posterior of (strengths, first, log_tie); a reply without a verdict keeps its prior.

    The log likelihood of one contest is (p_a - 1/2) d + tie log_tie - log(2 cosh(d/2) + exp(log_tie)), where d is the
    difference of the strengths, plus `first` times the position. Verdicts that scatter less than coin tosses leave less
    uncertain: the likelihood's curvature is divided by the noise, the Pearson statistic per degree of freedom, drawn
    towards 1 as by two more contests (quasi-likelihood, Wedderburn 1974).
    """
    design_CD = _design(contests)
    ties_N: Flags = np.asarray((contests.judged_NC & (contests.tie_NC > 0)).any(axis=1))
    point_ND = np.zeros((len(ties_N), design_CD.shape[1] + 1))
    prior_D = np.full(point_ND.shape[1], PRIOR_SD**-2)
    for _ in range(_MOST_STEPS):
        slopes = _slopes(contests, design_CD, point_ND, ties_N)
        up_ND = np.concatenate([slopes.pull_NC @ design_CD, slopes.tie_pull_NC.sum(1, keepdims=True)], axis=1)
        curvature_NDD = _curvature(slopes, design_CD) + np.diag(prior_D)
        step_ND = np.linalg.solve(curvature_NDD, (up_ND - prior_D * point_ND)[..., None])[..., 0]
        point_ND = point_ND + np.clip(step_ND, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step_ND).max(initial=0.0) < _CLOSE:
            break
    else:
        raise CannotRank(f"the strengths did not settle in {_MOST_STEPS} steps; is every p_a from 0 to 1?")
    slopes = _slopes(contests, design_CD, point_ND, ties_N)
    noise_N = _noise(contests, slopes)
    covariance_NDD = np.linalg.inv(_curvature(slopes, design_CD) / noise_N[:, None, None] + np.diag(prior_D))
    k = contests.replies
    return Strengths(
        mean_NK=point_ND[:, :k],
        covariance_NKK=covariance_NDD[:, :k, :k],
        first_N=point_ND[:, k],
        log_tie_N=np.where(ties_N, point_ND[:, k + 1], -np.inf),
        noise_N=noise_N,
    )


def fit_shown_once(contests: Contests) -> Strengths:
    """The fit of soft verdicts of one order each, what being shown first is worth taken off in logits.

    Averaging both orders' logits cancels a bonus exactly; a bonus in the model alone leaves the verdicts of the two
    orders at different places of a curved scale, which costs about a hundredth of Kendall's tau. So the fitted bonus is
    taken off the verdicts' logits, and what is left of it is fitted again. Hard verdicts (0 or 1) cannot be moved: for
    them it stays in the model. `first_N` is the sum of what was fitted.
    """
    first_N: Floats = np.zeros(len(contests.p_a_NC))
    logits_NC = logit(np.clip(contests.p_a_NC, _P_FLOOR, 1 - _P_FLOOR))
    for _ in range(_BONUS_FITS):
        level_NC = expit(logits_NC - first_N[:, None] * contests.position_C)
        fit = fit_strengths(replace(contests, p_a_NC=level_NC))
        first_N = first_N + fit.first_N
    return replace(fit, first_N=first_N)


def gaps(strengths: Strengths, a_P: Indices, b_P: Indices) -> Floats:
    """How far each pair's A is above its B, in logits: an array of shape N, P."""
    return strengths.mean_NK[:, a_P] - strengths.mean_NK[:, b_P]


def gap_variances(strengths: Strengths, a_P: Indices, b_P: Indices) -> Floats:
    """The variance of each pair's gap, in squared logits: an array of shape N, P."""
    covariance = strengths.covariance_NKK
    return covariance[:, a_P, a_P] + covariance[:, b_P, b_P] - 2 * covariance[:, a_P, b_P]


def p_above(strengths: Strengths) -> Floats:
    """The probability that reply i is stronger than reply j: an array of shape N, K, K with 0.5 on its diagonal."""
    mean, covariance = strengths.mean_NK, strengths.covariance_NKK
    own = np.diagonal(covariance, axis1=1, axis2=2)
    variance = own[:, :, None] + own[:, None, :] - 2 * covariance
    return np.asarray(ndtr((mean[:, :, None] - mean[:, None, :]) / np.sqrt(np.maximum(variance, 1e-12))))


def p_best(strengths: Strengths) -> Floats:
    """The probability that each reply is the strongest, of shape N, K: the share of 512 fixed quasi-random draws."""
    roots_NKK = np.linalg.cholesky(strengths.covariance_NKK)
    n, k = strengths.mean_NK.shape
    draws_NSK = strengths.mean_NK[:, None, :] + _normal_draws(k) @ roots_NKK.transpose(0, 2, 1)
    best_NS = draws_NSK.argmax(axis=2) + k * np.arange(n)[:, None]
    return np.bincount(best_NS.ravel(), minlength=n * k).reshape(n, k) / _DRAWS


@functools.cache
def _normal_draws(replies: int) -> Floats:
    return np.asarray(norm.ppf(qmc.Sobol(replies, scramble=True, rng=0).random(_DRAWS)))


def _design(contests: Contests) -> Floats:
    """One row a contest: 1 for A, -1 for B, then the position."""
    rows = np.arange(len(contests.a_C))
    design = np.zeros((len(rows), contests.replies + 1))
    design[rows, contests.a_C] = 1.0
    design[rows, contests.b_C] = -1.0
    design[:, -1] = contests.position_C
    return design


def _slopes(contests: Contests, design_CD: Floats, point_ND: Floats, ties_N: Flags) -> _Slopes:
    """The outcomes' probabilities are those of A winning, B winning and a tie; the score of A is 1, 0 and 1/2."""
    half_NC = point_ND[:, :-1] @ design_CD.T / 2
    logits = np.stack([half_NC, -half_NC, np.broadcast_to(point_ND[:, -1:], half_NC.shape)])
    logits[2, ~ties_N] = -np.inf
    likely = np.exp(logits - logits.max(axis=0))
    win, loss, tie = likely / likely.sum(axis=0)
    judged = contests.judged_NC
    return _Slopes(
        pull_NC=np.where(judged, contests.p_a_NC - win - tie / 2, 0.0),
        tie_pull_NC=np.where(judged & ties_N[:, None], contests.tie_NC - tie, 0.0),
        curve_NC=np.where(judged, (win + loss) / 4 - (win - loss) ** 2 / 4, 0.0),
        cross_NC=np.where(judged, -tie * (win - loss) / 2, 0.0),
        tie_curve_NC=np.where(judged, tie * (1 - tie), 0.0),
    )


def _curvature(slopes: _Slopes, design_CD: Floats) -> Floats:
    strengths = (slopes.curve_NC[:, None, :] * design_CD.T) @ design_CD
    cross = (slopes.cross_NC @ design_CD)[:, :, None]
    corner = slopes.tie_curve_NC.sum(axis=1)[:, None, None]
    return np.concatenate(
        [np.concatenate([strengths, cross], axis=2), np.concatenate([cross.transpose(0, 2, 1), corner], axis=2)], axis=1
    )


def _noise(contests: Contests, slopes: _Slopes) -> Floats:
    pearson_N = (slopes.pull_NC**2 / np.maximum(slopes.curve_NC, 1e-6)).sum(axis=1)
    spare_N = np.maximum(contests.judged_NC.sum(axis=1) - (contests.replies - 1), 0)
    return np.asarray(np.minimum((_TOSSES + pearson_N) / (_TOSSES + spare_N), 1.0))

"""Which pairs to judge next: those whose verdict would settle the most.

A pair's gain is by how much its verdict is expected to lower the chance that the pair stands in the wrong order (a
knowledge gradient; active choice of pairs as in Chen et al. 2013 and Mikhailiuk et al. 2020, arXiv:2004.05691), and it
counts more where one of the two may be the best. A round takes disjoint pairs: they go out together, and none of them
would have told much about another. All this is for N rankings of K replies at once. Left out: asking (rank.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from judges.bradley_terry import Flags, Floats, Indices, Strengths, gap_variances, gaps, p_best
from judges.schedules import Schedule

# 0, 3 and 8 differ by no more than a simulation's noise; most users want the best reply before the rest.
BEST_COUNTS = 3.0
# Gauss-Hermite quadrature of a standard normal.
_NODES, _SHARES = np.polynomial.hermite_e.hermegauss(5)
_SHARES = _SHARES / _SHARES.sum()


@dataclass(frozen=True, slots=True)
class Pairs:
    """All P = K (K - 1) / 2 pairs of K replies by their indices, `a_P` the lower one."""

    a_P: Indices
    b_P: Indices


def all_pairs(replies: int) -> Pairs:
    """The pairs in the order (0, 1), (0, 2) ... (K - 2, K - 1)."""
    a_P, b_P = np.triu_indices(replies, 1)
    return Pairs(a_P, b_P)


def next_round(fit: Strengths, asked_NP: Flags, schedule: Schedule) -> Flags:
    """The pairs of the next round, true where a pair is to be asked; none where the schedule wants no more."""
    replies = fit.mean_NK.shape[1]
    if schedule.kind == "full":
        return ~asked_NP
    best_NK = p_best(fit)
    left_N = schedule.budget(replies) - asked_NP.sum(axis=1)
    most_N = np.where(best_NK.max(axis=1) >= schedule.stop_at_p_best, 0, np.minimum(left_N, replies // 2))
    pairs = all_pairs(replies)
    return choose_disjoint(pair_gains(fit, best_NK, pairs), ~asked_NP, most_N, pairs)


def pair_gains(fit: Strengths, best_NK: Floats, pairs: Pairs) -> Floats:
    """The expected gain of one more verdict on each pair, of shape N, P, from 0 up; `best_NK` is P(best).

    With gap g of variance v and a verdict that adds the curvature c = p (1 - p) / noise, the gap's mean will move by a
    normal of variance v^2 / (v + 1 / c), and as much of v goes.
    """
    gap_NP, variance_NP = gaps(fit, pairs.a_P, pairs.b_P), gap_variances(fit, pairs.a_P, pairs.b_P)
    curvature_NP = 1 / (4 * np.cosh(np.clip(gap_NP / 2, -15, 15)) ** 2 * fit.noise_N[:, None])
    moved_NP = variance_NP**2 / (variance_NP + 1 / curvature_NP)
    left_sd_NP = np.sqrt(np.maximum(variance_NP - moved_NP, 1e-12))
    wrong_after_NP = sum(
        share * ndtr(-np.abs(gap_NP + node * np.sqrt(moved_NP)) / left_sd_NP)
        for node, share in zip(_NODES, _SHARES, strict=True)
    )
    lower_NP = ndtr(-np.abs(gap_NP) / np.sqrt(variance_NP)) - wrong_after_NP
    return np.asarray(lower_NP * (1 + BEST_COUNTS * (best_NK[:, pairs.a_P] + best_NK[:, pairs.b_P])))


def choose_disjoint(gains_NP: Floats, open_NP: Flags, most_N: npt.NDArray[np.int_], pairs: Pairs) -> Flags:
    """Up to `most_N` open pairs of each ranking, no reply twice: that of most gain, then the next that shares none."""
    rows, a_P, b_P = np.arange(len(gains_NP)), pairs.a_P, pairs.b_P
    left_NP, chosen_NP = np.where(open_NP, gains_NP, -np.inf), np.zeros_like(open_NP)
    # A pair shares a reply with itself too, so what was chosen is closed.
    shares_PP = (a_P[:, None] == a_P) | (a_P[:, None] == b_P) | (b_P[:, None] == a_P) | (b_P[:, None] == b_P)
    for already in range(int(most_N.max(initial=0))):
        best_N = left_NP.argmax(axis=1)
        found_N = (left_NP[rows, best_N] > -np.inf) & (already < most_N)
        chosen_NP[rows[found_N], best_N[found_N]] = True
        left_NP = np.where(shares_PP[best_N], -np.inf, left_NP)
    return chosen_NP

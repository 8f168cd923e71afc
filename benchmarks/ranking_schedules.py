"""What each schedule of the study asks (ranking.py): the product's own, and what else was tried at half the pairs."""

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.simulated_judges import A_IS_FIRST_P, A_P, B_P, PAIRS, Draws, K
from judges.bradley_terry import (
    Contests,
    Flags,
    Floats,
    Strengths,
    both_orders,
    fit_shown_once,
    fit_strengths,
    gap_variances,
    gaps,
)
from judges.pairing import choose_disjoint, next_round
from judges.schedules import Schedule

ADAPTIVE = Schedule()
HALF = ADAPTIVE.budget(K)
INDEX_KK = np.zeros((K, K), dtype=np.intp)
INDEX_KK[A_P, B_P] = INDEX_KK[B_P, A_P] = np.arange(len(A_P))


def fit_pairs(draws: Draws, asked_NP: Flags) -> Strengths:
    """The product's fit of the pairs that were asked."""
    return fit_strengths(both_orders(K, A_P, B_P, draws.p_a_NP, asked_NP))


def ask_full(draws: Draws) -> Flags:
    """Every pair."""
    return np.ones(draws.p_a_NP.shape, dtype=bool)


def ask_adaptive(draws: Draws, schedule: Schedule = ADAPTIVE) -> Flags:
    """The pairs that `judges.rank` asks by this schedule, here for all draws at once."""
    asked_NP = np.zeros(draws.p_a_NP.shape, dtype=bool)
    while (chosen_NP := next_round(fit_pairs(draws, asked_NP), asked_NP, schedule)).any():
        asked_NP = asked_NP | chosen_NP
    return asked_NP


def ask_swiss(draws: Draws) -> Flags:
    """Rounds of the pairs whose order is least sure, the first at random."""
    jitter_NP = 1e-3 * np.random.default_rng(0).random(draws.p_a_NP.shape)
    return _half(draws, lambda fit: jitter_NP - np.abs(gaps(fit, A_P, B_P)) / np.sqrt(gap_variances(fit, A_P, B_P)))


def ask_random(draws: Draws) -> Flags:
    """Rounds of disjoint pairs at random, so that every reply gets its share."""
    rng = np.random.default_rng(0)
    return _half(draws, lambda fit: rng.random(draws.p_a_NP.shape))


def _half(draws: Draws, gain: Callable[[Strengths], Floats]) -> Flags:
    asked_NP = np.zeros(draws.p_a_NP.shape, dtype=bool)
    while (left_N := HALF - asked_NP.sum(axis=1)).any():
        gains_NP = gain(fit_pairs(draws, asked_NP))
        asked_NP = asked_NP | choose_disjoint(gains_NP, ~asked_NP, np.minimum(left_N, K // 2), PAIRS)
    return asked_NP


def ask_merge(draws: Draws) -> Flags:
    """Merge sort (as PairS, arXiv:2403.16950, without its beam): up to 17 pairs for eight replies."""
    asked_NP = np.zeros(draws.p_a_NP.shape, dtype=bool)
    for p_a_P, asked_P in zip(draws.p_a_NP, asked_NP, strict=True):
        _merge_sort(list(range(K)), p_a_P, asked_P)
    return asked_NP


def _merge_sort(replies: list[int], p_a_P: Floats, asked_P: Flags) -> list[int]:
    if len(replies) == 1:
        return replies
    left = _merge_sort(replies[: len(replies) // 2], p_a_P, asked_P)
    right = _merge_sort(replies[len(replies) // 2 :], p_a_P, asked_P)
    merged = []
    while left and right:
        pair = INDEX_KK[left[0], right[0]]
        asked_P[pair] = True
        left_wins = (p_a_P[pair] >= 0.5) == (left[0] < right[0])
        merged.append((left if left_wins else right).pop(0))
    return merged + left + right


def fit_one_order(draws: Draws) -> Strengths:
    """The fit of `judges.rank_one_order`, which shows each pair once."""
    p_a_NP, position_P = draws.p_a_once_NP, np.where(A_IS_FIRST_P, 1.0, -1.0)
    none_NP, every_NP = np.zeros(p_a_NP.shape), np.ones(p_a_NP.shape, dtype=bool)
    return fit_shown_once(Contests(K, A_P, B_P, p_a_NP, none_NP, every_NP, position_P))


SCHEDULES: Mapping[str, Callable[[Draws], Flags]] = {
    "full": ask_full,
    "adaptive": ask_adaptive,
    "adaptive_21": lambda draws: ask_adaptive(draws, Schedule(most_pairs=21)),
    "swiss": ask_swiss,
    "merge": ask_merge,
    "random": ask_random,
}

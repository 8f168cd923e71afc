"""Which pairs come next: by hand where symmetry decides, else by what must hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.bradley_terry import both_orders, fit_strengths, p_best
from judges.pairing import all_pairs, choose_disjoint, next_round, pair_gains
from judges.schedules import Schedule


def fit_of(replies, verdicts):
    pairs = all_pairs(replies)
    p_a = np.array([[verdicts.get((a, b), 0.3) for a, b in zip(pairs.a_P, pairs.b_P, strict=True)]])
    asked = np.array([[(a, b) in verdicts for a, b in zip(pairs.a_P, pairs.b_P, strict=True)]])
    return fit_strengths(both_orders(replies, pairs.a_P, pairs.b_P, p_a, asked)), asked


def named(replies, flags_P):
    pairs = all_pairs(replies)
    return list(zip(pairs.a_P[flags_P].tolist(), pairs.b_P[flags_P].tolist(), strict=True))


def test_the_first_round_shows_every_reply_once():
    fit, asked = fit_of(8, {})
    assert sorted(reply for pair in named(8, next_round(fit, asked, Schedule())[0]) for reply in pair) == list(range(8))


def test_winners_meet_winners():
    """After two clear wins the pairs that tell most are winner against winner and loser against loser."""
    fit, asked = fit_of(4, {(0, 1): 0.99, (2, 3): 0.99})
    assert named(4, next_round(fit, asked, Schedule(most_pairs=6))[0]) == [(0, 2), (1, 3)]


def test_a_pair_at_the_top_counts_more():
    fit, _ = fit_of(4, {(0, 1): 0.99, (2, 3): 0.99})
    gains = dict(zip(named(4, np.ones(6, dtype=bool)), pair_gains(fit, p_best(fit), all_pairs(4))[0], strict=True))
    assert gains[0, 2] > gains[1, 3] > gains[0, 3] > 0


def test_a_gain_by_simulation():
    """Two replies of one verdict: the chance of the wrong order, before and after drawing the next verdict's effect."""
    fit, _ = fit_of(2, {(0, 1): 0.8})
    gap = fit.mean_NK[0, 0] - fit.mean_NK[0, 1]
    variance = fit.covariance_NKK[0, 0, 0] * 2 - 2 * fit.covariance_NKK[0, 0, 1]
    curve = 1 / (4 * np.cosh(gap / 2) ** 2)
    rng = np.random.default_rng(0)
    truth = gap + np.sqrt(variance) * rng.standard_normal(400_000)
    seen = truth + rng.standard_normal(400_000) / np.sqrt(curve)
    after = (gap / variance + curve * seen) / (1 / variance + curve)
    lower = np.mean((gap > 0) != (truth > 0)) - np.mean((after > 0) != (truth > 0))
    gain = pair_gains(fit, np.zeros((1, 2)), all_pairs(2))[0, 0]
    assert gain == pytest.approx(lower, abs=0.02)


def test_full_takes_all_that_is_left():
    fit, asked = fit_of(4, {(0, 1): 0.9})
    assert next_round(fit, asked, Schedule(kind="full"))[0].sum() == 5


def test_a_sure_best_ends_it():
    fit, asked = fit_of(3, {(0, 1): 1.0})
    assert not next_round(fit, asked, Schedule(stop_at_p_best=0.3)).any()
    assert next_round(fit, asked, Schedule(stop_at_p_best=1.0)).any()


@pytest.mark.parametrize(("replies", "budget"), [(2, 1), (3, 2), (4, 3), (5, 5), (8, 14), (9, 18)])
def test_half_of_all_pairs_and_at_least_a_chain(replies, budget):
    assert Schedule().budget(replies) == budget


def test_a_budget_given_is_kept():
    assert Schedule(most_pairs=20).budget(8) == 20 and Schedule(most_pairs=99).budget(4) == 6
    assert Schedule(kind="full", most_pairs=3).budget(8) == 28


@given(st.integers(2, 7), st.integers(0, 3), st.data())
def test_a_round_is_disjoint_open_and_within_bounds(replies, most, data):
    pairs = all_pairs(replies)
    size = len(pairs.a_P)
    open_P = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    gains = np.array([data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))])
    chosen = choose_disjoint(gains, open_P[None], np.array([most]), pairs)[0]
    shown = [reply for pair in named(replies, chosen) for reply in pair]
    assert len(shown) == len(set(shown)) and chosen.sum() <= most and not (chosen & ~open_P).any()
    assert chosen.any() == bool(most and open_P.any())
    if chosen.any():
        assert gains[0, chosen].max() == gains[0, open_P].max()

"""The fit by numbers worked out by hand, and what must hold for any verdicts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from judges.bradley_terry import (
    PRIOR_SD,
    Contests,
    both_orders,
    fit_shown_once,
    fit_strengths,
    gap_variances,
    p_above,
    p_best,
)
from judges.errors import CannotRank

TIGHT = 1 / PRIOR_SD**2


def contests(replies, verdicts, position=0.0):
    """`verdicts` are (a, b, p_a); a belief of one half is a tie."""
    a, b, p_a = (np.array(column) for column in zip(*verdicts, strict=True))
    p_a = p_a[None].astype(float)
    ties = (p_a == 0.5).astype(float)
    return Contests(replies, a, b, p_a, ties, np.ones(p_a.shape, dtype=bool), np.full(len(a), position))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("p_a", [0.0, 0.2, 0.7, 0.9, 1.0])
def test_two_replies_in_closed_form(p_a):
    """Strengths are s and -s; the slope p - sigmoid(2 s) - s / sd^2 is nought at the top."""
    fit = fit_strengths(contests(2, [(0, 1, p_a)]))
    s = brentq(lambda s: p_a - sigmoid(2 * s) - TIGHT * s, -5, 5)
    assert fit.mean_NK[0] == pytest.approx([s, -s], abs=1e-9)
    curve = sigmoid(2 * s) * sigmoid(-2 * s)
    # Along (1, -1) the curvature is 2 * curve + prior; the gap's variance is 2 over it.
    assert gap_variances(fit, np.array([0]), np.array([1]))[0, 0] == pytest.approx(2 / (2 * curve + TIGHT))
    assert fit.log_tie_N[0] == -math.inf and fit.noise_N[0] == 1.0 and fit.first_N[0] == 0.0


def test_with_a_weak_prior_the_odds_are_the_verdicts():
    """A hundred verdicts of 0.8 outweigh the prior: the gap comes to log 4."""
    fit = fit_strengths(contests(2, [(0, 1, 0.8)] * 100))
    assert fit.mean_NK[0, 0] - fit.mean_NK[0, 1] == pytest.approx(math.log(4), abs=0.03)


def test_three_in_a_ring_are_even():
    fit = fit_strengths(contests(3, [(0, 1, 0.9), (1, 2, 0.9), (0, 2, 0.1)]))
    assert fit.mean_NK[0] == pytest.approx([0, 0, 0], abs=1e-9)
    assert p_best(fit)[0] == pytest.approx([1 / 3] * 3, abs=0.02)
    assert p_above(fit)[0] == pytest.approx(np.full((3, 3), 0.5))


def test_a_chain_of_three_is_symmetrical():
    """0 beats 1 as 1 beats 2: the middle stands at nought and the ends mirror each other."""
    fit = fit_strengths(contests(3, [(0, 1, 0.8), (1, 2, 0.8)]))
    top, middle, bottom = fit.mean_NK[0]
    assert middle == pytest.approx(0, abs=1e-9) and top == pytest.approx(-bottom)
    assert 0.8 - sigmoid(top) - TIGHT * top == pytest.approx(0, abs=1e-9)


def test_a_tie_by_hand():
    """Of one tie between two: strengths 0, and eta solves 1 - e^eta / (2 + e^eta) = eta / sd^2."""
    fit = fit_strengths(contests(2, [(0, 1, 0.5)]))
    eta = brentq(lambda eta: 2 / (2 + math.exp(eta)) - TIGHT * eta, 0, 5)
    assert fit.mean_NK[0] == pytest.approx([0, 0], abs=1e-9) and fit.log_tie_N[0] == pytest.approx(eta)


def test_a_tie_tells_less_than_two_halves_of_a_win():
    """Davidson: where ties are common, one says less of how close two replies are."""
    tied = contests(2, [(0, 1, 0.5)] * 4)
    split = Contests(2, tied.a_C, tied.b_C, tied.p_a_NC, 0 * tied.tie_NC, tied.judged_NC, tied.position_C)
    variance = [gap_variances(fit_strengths(c), np.array([0]), np.array([1]))[0, 0] for c in (tied, split)]
    assert variance[0] > variance[1]


def test_the_order_bonus_is_told_from_the_strengths():
    """Each reply wins 0.8 when shown first: all of it is the order's, none is strength."""
    fit = fit_strengths(contests(2, [(0, 1, 0.8), (1, 0, 0.8)] * 50, position=1.0))
    assert fit.mean_NK[0] == pytest.approx([0, 0], abs=1e-9)
    assert fit.first_N[0] == pytest.approx(math.log(4), abs=0.03)


def test_a_bonus_on_soft_verdicts_is_taken_off_whole():
    """Verdicts with a bonus of 1.5 logits on whichever was first come to what they are without it."""
    strengths, bonus = [1.0, 0.2, -0.4, -0.8], 1.5
    pairs = [(0, 1), (2, 0), (0, 3), (1, 2), (3, 1), (2, 3)]
    level = [(a, b, sigmoid(strengths[a] - strengths[b])) for a, b in pairs]
    raised = [(a, b, sigmoid(strengths[a] - strengths[b] + bonus)) for a, b in pairs]
    plain, taken_off = fit_strengths(contests(4, level)), fit_shown_once(contests(4, raised, position=1.0))
    assert taken_off.mean_NK[0] == pytest.approx(plain.mean_NK[0], abs=0.03)
    assert taken_off.first_N[0] == pytest.approx(bonus, abs=0.1)


def test_verdicts_that_fit_leave_less_uncertain():
    """All pairs of four, once as the model has them and once with scatter: the noise is told apart, at most 1."""
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    strengths = [0.6, 0.2, -0.2, -0.6]
    exact = fit_strengths(contests(4, [(a, b, sigmoid(strengths[a] - strengths[b])) for a, b in pairs]))
    rough = fit_strengths(contests(4, [(a, b, float((a + b) % 2)) for a, b in pairs]))
    # Three spare contests of (nearly) no scatter beside the two that stand for coin tosses: 2 / 5.
    assert exact.noise_N[0] == pytest.approx(0.4, abs=0.01) and rough.noise_N[0] == 1.0
    assert exact.covariance_NKK[0, 0, 0] < rough.covariance_NKK[0, 0, 0]


def test_no_fit_is_an_error():
    with pytest.raises(CannotRank, match="did not settle"):
        fit_strengths(contests(2, [(0, 1, math.nan)]))


def test_without_verdicts_all_is_prior():
    none = np.zeros((1, 0))
    empty = np.array([], dtype=np.intp)
    fit = fit_strengths(both_orders(3, empty, empty, none, none.astype(bool)))
    assert fit.mean_NK[0] == pytest.approx([0, 0, 0]) and fit.covariance_NKK[0] == pytest.approx(4 * np.eye(3))


def test_what_was_not_judged_does_not_count():
    a, b = np.array([0, 0, 1]), np.array([1, 2, 2])
    some = fit_strengths(both_orders(3, a, b, np.array([[0.9, 0.3, 0.0]]), np.array([[True, True, False]])))
    less = fit_strengths(both_orders(3, a[:2], b[:2], np.array([[0.9, 0.3]]), np.ones((1, 2), dtype=bool)))
    assert some.mean_NK == pytest.approx(less.mean_NK) and some.covariance_NKK == pytest.approx(less.covariance_NKK)


def test_p_best_is_p_above_for_two():
    fit = fit_strengths(contests(2, [(0, 1, 0.9)] * 3))
    assert p_best(fit)[0, 0] == pytest.approx(p_above(fit)[0, 0, 1], abs=0.01)


@st.composite
def verdicts(draw):
    """Up to twelve verdicts on two to five replies; ties and certainties among them."""
    replies = draw(st.integers(2, 5))
    pair = st.permutations(range(replies)).map(lambda order: order[:2])
    p = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
    return replies, [(*draw(pair), draw(p)) for _ in range(draw(st.integers(1, 12)))]


@given(verdicts())
def test_the_fit_is_at_the_top(case):
    """Slope nought in the strengths: wins less expected wins, less the prior's pull; and their sum is nought."""
    replies, told = case
    fit = fit_strengths(contests(replies, told))
    s, tie = fit.mean_NK[0], math.exp(fit.log_tie_N[0])
    slope = -TIGHT * s
    for a, b, p_a in told:
        win, loss = math.exp((s[a] - s[b]) / 2), math.exp((s[b] - s[a]) / 2)
        excess = p_a - (win + tie / 2) / (win + loss + tie)
        slope[a] += excess
        slope[b] -= excess
    assert slope == pytest.approx(np.zeros(replies), abs=1e-6)
    assert s.sum() == pytest.approx(0, abs=1e-6)
    assert np.linalg.eigvalsh(fit.covariance_NKK[0]).min() > 0
    assert p_best(fit)[0].sum() == pytest.approx(1)


@given(verdicts(), st.randoms(use_true_random=False))
def test_names_do_not_matter(case, random):
    """Replies renamed, or a pair told the other way round, give the same strengths under their new names."""
    replies, told = case
    name = list(range(replies))
    random.shuffle(name)
    renamed = [(name[a], name[b], p) if random.random() < 0.5 else (name[b], name[a], 1 - p) for a, b, p in told]
    one, other = (fit_strengths(contests(replies, t)) for t in (told, renamed))
    assert other.mean_NK[0, name] == pytest.approx(one.mean_NK[0], abs=1e-6)
    assert other.covariance_NKK[0][np.ix_(name, name)] == pytest.approx(one.covariance_NKK[0], abs=1e-5)


@given(verdicts(), st.floats(0.01, 0.4))
def test_more_belief_never_lowers_the_gap(case, more):
    """Of plain Bradley-Terry: where no tie is declared, a larger p_a of one verdict widens that pair's gap."""
    replies, told = case
    told = [(a, b, 0.45 if p == 0.5 else p) for a, b, p in told]
    a, b, p = told[0]
    raised = [(a, b, min(1.0, p + more) if p + more != 0.5 else 0.51), *told[1:]]
    before, after = (fit_strengths(contests(replies, t)).mean_NK[0] for t in (told, raised))
    assert after[a] - after[b] >= before[a] - before[b] - 1e-8


def test_many_at_once_are_as_one_by_one():
    rng = np.random.default_rng(0)
    a, b = np.triu_indices(5, 1)
    p_a, judged = rng.random((6, 10)), rng.random((6, 10)) < 0.6
    p_a[0, judged[0].argmax()] = 0.5
    together = fit_strengths(both_orders(5, a, b, p_a, judged))
    for n in range(6):
        alone = fit_strengths(both_orders(5, a, b, p_a[n : n + 1], judged[n : n + 1]))
        assert together.mean_NK[n] == pytest.approx(alone.mean_NK[0], abs=1e-8)
        assert p_best(together)[n] == pytest.approx(p_best(alone)[0])

"""What a verdict is worth in labels and should weigh: posteriors worked by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.gold import kinds, verdict_worth
from training.people_votes import LOWEST_AGREEMENT, Agreement, logit
from training.reliability import SharedPair
from training.worth import (
    Chances,
    Had,
    agreement_beyond_chance,
    next_worth,
    verdict_correlation,
    verdict_weight,
)

NOTHING_OR_ONE = Chances((0.0, 1.0), (0.5, 0.5))


def known(value: float) -> Chances:
    return Chances((value,), (1.0,))


def correlation(pairs: list[SharedPair], pays_length: float) -> Chances:
    """Of verdicts on just these pairs."""
    own = [logit(pair.belief) - pays_length * pair.length_gap for pair in pairs]
    return verdict_correlation(pairs, pays_length, own)


def shared(right: int, wrong: int) -> list[SharedPair]:
    """Verdicts of 0.88 for either side in turn."""
    found = [SharedPair(0.88, 1.0, 0.0)] * right + [SharedPair(0.88, 0.0, 0.0)] * wrong
    return [SharedPair(1 - p.belief, 1 - p.vote, 0.0) if n % 2 else p for n, p in enumerate(found)]


def test_chances_by_hand():
    found = Chances((1.0, 2.0, 4.0), (0.25, 0.5, 0.25))
    assert (found.mean, found.sd) == (
        pytest.approx(2.25),
        pytest.approx(math.sqrt(0.25 * 1.5625 + 0.5 * 0.0625 + 0.765625)),
    )
    assert [found.quantile(p) for p in (0.025, 0.25, 0.3, 0.975, 1.0)] == [1.0, 1.0, 2.0, 4.0, 4.0]


def test_a_judges_correlation_before_any_votes():
    # beta(2, 3): mean 0.4, variance 0.4 * 0.6 / 6; half below 0.386
    found = correlation([SharedPair(0.99, 0.5, 0.0, labels=1e-9)], 0.0)
    assert (found.mean, found.sd) == (pytest.approx(0.4, abs=0.02), pytest.approx(0.2, abs=0.01))
    assert [found.quantile(p) for p in (0.25, 0.75)] == [pytest.approx(q, abs=0.03) for q in (0.243, 0.544)]


def test_a_judges_correlation_after_votes():
    # 80 of 100 votes name its winner: with x = (1 + c) / 2 the posterior is (2x - 1) * beta(81, 23), so c's mean is
    # E[(2x - 1)^2] / E[2x - 1] = (0.55769^2 + 4 * 0.0016404) / 0.55769
    assert correlation(shared(80, 20), 0.0).mean == pytest.approx(0.569, abs=0.01)
    # from 20 votes the prior still pulls to the middle: beta(17, 7), (0.41667^2 + 4 * 0.0082639) / 0.41667
    assert correlation(shared(16, 4), 0.0).mean == pytest.approx(0.496, abs=0.02)


def test_a_judge_that_votes_are_against_is_worth_nothing():
    assert correlation(shared(10, 60), 0.0).mean < 0.05
    assert correlation([SharedPair(0.5, 1.0, 0.2)] * 30, 0.0) == known(0.0)


def test_what_a_judge_pays_for_length_tells_nothing():
    # all of the log-odds, 2, is the gap of 0.5 at 4 a unit
    pairs = [SharedPair(1 / (1 + math.exp(-2)), 1.0, 0.5)] * 30
    assert correlation(pairs, 0.0).mean > 0.8
    assert correlation(pairs, 4.0).mean == pytest.approx(0, abs=1e-6) or correlation(pairs, 4.0).mean > 0


def test_peoples_agreement_follows_the_votes():
    unknown, few, many = (agreement_beyond_chance(a) for a in (None, Agreement(20, 1.0), Agreement(1000, 0.8)))
    assert 0.4 < unknown.mean < 0.6 and unknown.sd > 0.15
    # beta(27.26, 2.74): 2 * 27.26 / 30 - 1
    assert few.mean == pytest.approx(0.817, abs=0.01)
    assert (many.mean, many.sd) == (pytest.approx(0.6, abs=0.01), pytest.approx(2 * math.sqrt(0.16 / 1000), abs=0.003))


def test_the_next_verdict_is_worth_less_the_more_hangs_on_verdicts():
    assert next_worth(known(0.3), Had(5, 100)) == pytest.approx(0.3)
    assert next_worth(NOTHING_OR_ONE, Had(5, 0)) == pytest.approx(0.5)
    # information 1 or 4, I^(-5/4) is 1 or 0.17678: 0.17678 / (1 + 0.17678)
    assert next_worth(NOTHING_OR_ONE, Had(1, 3)) == pytest.approx(0.150222, abs=1e-6)
    # information 10 or 160: 1 / (1 + 16^(5/4))
    assert next_worth(NOTHING_OR_ONE, Had(10, 150)) == pytest.approx(1 / 33)


def test_a_verdict_weighs_the_root_of_its_worth():
    assert verdict_weight(known(0.25), Had(20, 100)) == pytest.approx(0.5)
    assert verdict_weight(known(0.0), Had(20, 100)) == pytest.approx(0, abs=1e-9)
    # no verdict there: the mean strength of 0 and 1
    assert verdict_weight(NOTHING_OR_ONE, Had(5, 0)) == pytest.approx(0.5)
    # the weights are 1 and 1 / (1 + 2t)^1.5, so t = 1 / ((1 + 2t)^1.5 + 1)
    t = verdict_weight(NOTHING_OR_ONE, Had(1, 2))
    assert t + t * (1 + 2 * t) ** 1.5 == pytest.approx(1)


@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=5, unique=True).map(sorted), st.integers(1, 50), st.integers(0, 500)
)
def test_no_other_weight_has_a_lower_expected_error(values, labels, verdicts):
    def error(t: float) -> float:
        information = ((labels + verdicts * t * math.sqrt(w)) ** 2 / (labels + verdicts * t * t) for w in values)
        return sum(i**-0.25 for i in information) / len(values)

    found = verdict_weight(Chances(tuple(values), (1 / len(values),) * len(values)), Had(labels, verdicts))
    assert error(found) <= min(error(2 * place / 400) for place in range(400)) * (1 + 1e-6)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]), st.floats(-1, 1)), min_size=1, max_size=30),
    st.floats(-9, 9),
    st.integers(0, 30),
    st.floats(0, 1),
)
def test_worth_has_bounds_and_no_order(values, pays_length, met, agreement):
    pairs = [SharedPair(*value) for value in values]
    found = correlation(pairs, pays_length)
    assert found == correlation(pairs[::-1], pays_length)
    worth = verdict_worth(found, kinds(agreement_beyond_chance(Agreement(met, agreement) if met else None)))
    assert math.fsum(worth.chances) == pytest.approx(1)
    assert list(worth.values) == sorted(worth.values)
    assert worth.values[0] >= 0 and worth.values[-1] <= 1 / LOWEST_AGREEMENT
    assert 0 <= next_worth(worth, Had(3, 7)) <= worth.mean + 1e-9


def test_votes_of_rankings_leave_as_much_open_as_the_labels_that_they_are():
    half = [replace(pair, labels=0.5) for pair in shared(160, 40)]
    found, wanted = correlation(half, 0.0), correlation(shared(80, 20), 0.0)
    assert (found.mean, found.sd) == pytest.approx((wanted.mean, wanted.sd))
    # one label and two verdicts of half a label are one of each: information 1 or 2
    assert next_worth(NOTHING_OR_ONE, Had(1, 2 * 0.5)) == pytest.approx(1 / (1 + 2**1.25))

"""The judge's accuracy from the random part."""

import pytest

from judges.errors import TooFewLabels
from judges.intervals import Interval
from service.errors import InvalidInput
from service.labelling.estimates import judge_accuracy, on_log_odds
from service.labelling.gains import RoutingCandidate
from service.labelling.judged_pairs import judged_pairs


def candidates(count, p_a=0.9):
    return judged_pairs([RoutingCandidate(f"{n}", f"{n}", p_a) for n in range(count)])


def test_equal_beliefs_leave_the_mean_of_the_labels():
    # Of twenty verdicts for A, fifteen are people's, two more were ties to them: 16 of 20.
    labels = {f"{n}": 1.0 if n < 15 else 0.5 if n < 17 else 0.0 for n in range(20)}
    found = judge_accuracy(candidates(100), labels)
    assert found.interval.estimate == pytest.approx(0.8)
    assert (found.power, found.labels) == (0.0, 20)


def test_beliefs_that_know_carry_over_to_the_others():
    # Sure verdicts are right and ties are half right, and nine in ten of the others are ties.
    mixed = [RoutingCandidate(f"{n}", f"{n}", 0.99 if n < 10 or n > 190 else 0.5) for n in range(200)]
    found = judge_accuracy(judged_pairs(mixed), {f"{n}": 1.0 for n in range(20)})
    assert found.labels_only.estimate == pytest.approx(0.75)
    assert found.interval.estimate == pytest.approx((181 * 0.5 + 19 * 1) / 200, abs=0.03)


def test_an_interval_on_log_odds_by_hand():
    # Half-width 0.1 at 0.8 is 0.625 in log-odds: odds of 4 times or over 1.868.
    found = on_log_odds(Interval(0.8, 0.7, 0.9))
    assert (found.low, found.high) == pytest.approx(
        (4 / 1.868246 / (1 + 4 / 1.868246), 4 * 1.868246 / (1 + 4 * 1.868246))
    )
    assert on_log_odds(Interval(1.0, 0.9, 1.0)) == Interval(1.0, 0.9, 1.0)


def test_what_is_missing_is_named():
    with pytest.raises(InvalidInput, match="'x' has a label"):
        judge_accuracy(candidates(5), {"x": 1.0})
    with pytest.raises(TooFewLabels):
        judge_accuracy(candidates(50), {"1": 1.0})

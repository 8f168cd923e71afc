"""Intervals against scipy, against worked numbers, and against what they promise: coverage."""

import numpy as np
import pytest
import scipy.stats

from judges.intervals import student_t_975
from training.errors import TrainingError
from training.statistics import Interval, NoInterval, clustered_difference, clustered_mean


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 10, 47, 1000])
def test_students_quantile(freedom: int):
    assert student_t_975(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), abs=4e-3)


def test_difference_by_hand():
    # per-prompt differences 0.5, 0.5, 0.0, 1.0: mean 0.5, sd sqrt(1/6), error 0.204124, t(3) = 3.1824
    before = {"a": [0, 0], "b": [0, 1], "c": [1, 1], "d": [0]}
    after = {"a": [1, 0], "b": [1, 1], "c": [1, 1], "d": [1]}
    interval = clustered_difference(before, after)
    assert isinstance(interval, Interval)
    assert (interval.estimate, interval.clusters) == (0.5, 4)
    assert interval.low == pytest.approx(0.5 - 3.1824 * 0.204124, abs=2e-3)
    assert interval.high == 1.0  # 1.1496, cut


def test_replies_of_one_prompt_count_as_one():
    once = clustered_mean({"a": [0.0], "b": [1.0], "c": [1.0]})
    often = clustered_mean({"a": [0.0] * 50, "b": [1.0] * 50, "c": [1.0] * 50})
    assert once == often


def test_prompts_that_all_agree_still_have_a_width():
    interval = clustered_mean({str(n): [1.0] for n in range(30)})
    assert interval == Interval(1.0, 0.9, 1.0, 30)


def test_one_prompt_has_no_interval_and_one_sided_prompts_are_named():
    assert clustered_mean({"a": [1.0]}) == NoInterval("fewer_than_two_prompts", 1)
    with pytest.raises(TrainingError, match="'b' was evaluated on one side only"):
        clustered_difference({"a": [1]}, {"a": [1], "b": [1]})
    with pytest.raises(TrainingError, match="'a' has no reply"):
        clustered_mean({"a": [], "b": [1]})


def test_a_bootstrap_over_prompts_gives_the_same():
    random = np.random.default_rng(3)
    differences = {str(n): [float(random.choice([0.0, 0.25, 0.5, 0.75]))] for n in range(48)}
    interval = clustered_mean(differences)
    values = np.array([value[0] for value in differences.values()])
    means = random.choice(values, (4000, 48)).mean(1)
    assert isinstance(interval, Interval)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """48 prompts of 4 replies with a rate of their own each (mean 0.4): 95 % of 400 intervals hold 0.4, +- 3 errors."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        rates = random.beta(0.8, 1.2, 48)
        interval = clustered_mean(
            {str(n): list(random.binomial(1, rate, 4).astype(float)) for n, rate in enumerate(rates)}
        )
        assert isinstance(interval, Interval)
        held += interval.low <= 0.4 <= interval.high
    assert held / 400 == pytest.approx(0.95, abs=0.033)

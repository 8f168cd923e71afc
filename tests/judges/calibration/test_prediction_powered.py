"""Prediction-powered means: the formula by hand, no harm by bad judges, and coverage at 50 labels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.prediction_powered import powered_mean
from judges.errors import NoLabels, NotAProbability, TooFewLabels, UnequalLengths
from judges.intervals import student_t_975

LABELS = np.array([1.0] * 6 + [0.0] * 6)
COIN = np.array([1.0, 0.0] * 500)


def test_the_formula_by_hand():
    """n = 12, N = 1000. Labels 6 of 12; the judge has 5 of the 6 right on either side. cov = (5/12 - 1/4) * 12/11
    = 2/11. Pooled beliefs: 506 ones of 1012, variance 253/1011. lambda = (2/11) / (1.012 * 253/1011)."""
    belief_N = np.array([1.0] * 5 + [0.0] + [0.0] * 5 + [1.0])
    found = powered_mean(LABELS, belief_N, COIN)
    power = (2 / 11) / (1.012 * 253 / 1011)
    assert found.power == pytest.approx(power)
    assert found.interval.estimate == pytest.approx(power * 0.5 + 0.5 - power * 0.5)
    # Residuals: 1 - l five times, 1 once, 0 five times, -l once, less their mean (1 - l) / 2.
    mean = (1 - power) / 2
    squares = 5 * (1 - power - mean) ** 2 + (1 - mean) ** 2 + 5 * mean**2 + (-power - mean) ** 2
    of_labels, of_beliefs = squares / 10 / 12, power**2 * (250 / 999) / 1000
    freedom = (of_labels + of_beliefs) ** 2 / (of_labels**2 / 10 + of_beliefs**2 / 999)
    half = student_t_975(freedom) * math.sqrt(of_labels + of_beliefs)
    assert found.interval.high - found.interval.estimate == pytest.approx(half)
    half_alone = student_t_975(11) * math.sqrt(3 / 11 / 12)
    assert found.effective_labels == pytest.approx(12 * (half_alone / half) ** 2)


def test_the_published_library_agrees_on_many_labels():
    """ppi_py 0.2.3 gives 0.4430007, 0.41625592 to 0.46974549. It divides by n where we divide by n - 1 or n - 2, and
    takes the normal quantile where we take Student's: 0.0001 at this size."""
    label_N = np.array([1.0] * 450 + [0.0] * 550)
    belief_N = np.array([1.0] * 400 + [0.0] * 500 + [1.0] * 100)
    interval = powered_mean(label_N, belief_N, np.array([1.0] * 480 + [0.0] * 520)).interval
    assert (interval.estimate, interval.low, interval.high) == pytest.approx(
        (0.4430007, 0.41625592, 0.46974549), abs=1e-4
    )


@pytest.mark.parametrize("belief_N", [1 - LABELS, np.full(12, 0.5), np.full(12, 1.0)])
def test_a_judge_that_is_wrong_or_always_says_the_same_leaves_the_labels_alone(belief_N):
    found = powered_mean(LABELS, belief_N, np.full(50, belief_N[0]) if np.ptp(belief_N) == 0 else COIN)
    assert found.power == 0 and found.interval == found.labels_only and found.effective_labels == 12


def test_labels_alone_are_students_interval():
    """Half of 12: standard error sqrt(3/11 / 12)."""
    alone = powered_mean(LABELS, 1 - LABELS, COIN).labels_only
    assert alone.high - alone.estimate == pytest.approx(student_t_975(11) * math.sqrt(3 / 11 / 12))


def test_an_interval_without_an_exception_is_not_a_point():
    """Twenty labels, all 1, and a judge that agrees: the rule of three leaves 3/20."""
    found = powered_mean(np.ones(20), np.ones(20), np.ones(100))
    assert (found.interval.low, found.interval.high) == (pytest.approx(0.85), 1.0)
    assert found.effective_labels == 20


def test_twelve_labels_do_not_prove_a_judge_perfect():
    """The judge agrees in all twelve: by the rule of three the interval is still 3/12 to either side."""
    found = powered_mean(LABELS, LABELS, COIN)
    assert 0.98 < found.power <= 1 and found.interval.high - found.interval.estimate == pytest.approx(0.25)
    assert found.effective_labels == pytest.approx(12 * (student_t_975(11) * math.sqrt(3 / 11 / 12) / 0.25) ** 2)


def test_a_judge_is_never_worth_more_than_all_items():
    label_N = np.tile([1.0, 0.0], 500)
    assert powered_mean(label_N, label_N, np.array([1.0, 0.0])).effective_labels <= 1002


def test_what_gives_no_honest_interval_is_refused():
    for label_N, belief_N, belief_M, error in (
        ([], [], COIN, NoLabels),
        (LABELS[:9], LABELS[:9], COIN, TooFewLabels),
        (LABELS, LABELS, COIN[:1], TooFewLabels),
        (LABELS, LABELS[:5], COIN, UnequalLengths),
        (LABELS * math.nan, LABELS, COIN, NotAProbability),
        (LABELS, LABELS, COIN + 1, NotAProbability),
    ):
        with pytest.raises(error):
            powered_mean(np.array(label_N), np.array(belief_N), np.array(belief_M))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=10, max_size=40),
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
)
def test_counting_the_other_outcome_gives_the_other_rate(rows, others):
    label_N, belief_N = np.array(rows).T
    belief_M = np.array(others)
    first = powered_mean(label_N, belief_N, belief_M)
    second = powered_mean(1 - label_N, 1 - belief_N, 1 - belief_M)
    assert first.interval.estimate + second.interval.estimate == pytest.approx(1)
    assert first.interval.low + second.interval.high == pytest.approx(1)
    assert 0 <= first.interval.low <= first.interval.estimate <= first.interval.high <= 1


@pytest.mark.parametrize(("accuracy", "rate"), [(0.87, 0.5), (0.7, 0.3), (0.5, 0.5), (0.3, 0.5), (0.9, 0.9)])
def test_coverage_at_fifty_labels(accuracy: float, rate: float):
    """2,000 draws of 50 labels and 370 more verdicts of a judge that errs at random: within 93.5 and 98 %."""
    random = np.random.default_rng(1)
    label = (random.random((2000, 420)) < rate).astype(float)
    belief = np.where(random.random(label.shape) < accuracy, label, 1 - label)
    found = [powered_mean(y[:50], f[:50], f[50:]) for y, f in zip(label, belief, strict=True)]
    assert 0.935 <= np.mean([one.interval.low <= rate <= one.interval.high for one in found]) <= 0.98
    assert np.mean([one.effective_labels / one.labels for one in found]) >= 0.97

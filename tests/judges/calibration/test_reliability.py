"""Accuracy, Brier, calibration error and length bias by numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.labels import Labelled
from judges.calibration.reliability import (
    ReliabilityBin,
    accuracy,
    brier,
    expected_calibration_error,
    partial_correlation,
    reliability_bins,
)
from judges.errors import Undefined, UnequalLengths

# Ten beliefs of 0.8, seven of them right; ten of 0.4, of which reply A won three.
TWO_LEVELS = Labelled(np.array([0.8] * 10 + [0.4] * 10), np.array([1.0] * 7 + [0.0] * 3 + [1.0] * 3 + [0.0] * 7))


def test_accuracy_counts_a_tie_as_half():
    """Right, wrong, tied belief, tied label: (1 + 0 + 0.5 + 0.5) / 4."""
    assert accuracy(Labelled(np.array([0.9, 0.9, 0.5, 0.9]), np.array([1.0, 0.0, 1.0, 0.5]))) == 0.5


def test_accuracy_takes_the_majority_of_people():
    assert accuracy(Labelled(np.array([0.6]), np.array([2 / 3]))) == 1


def test_brier_by_hand():
    """(0.7 * 0.04 + 0.3 * 0.64 + 0.3 * 0.36 + 0.7 * 0.16) / 2 = (0.22 + 0.22) / 2."""
    assert brier(TWO_LEVELS) == pytest.approx(0.22)


def test_brier_of_a_constant_half():
    assert brier(Labelled(np.full(4, 0.5), np.array([1.0, 0, 0, 1]))) == 0.25


def test_bins_and_calibration_error_by_hand():
    """The gaps are |0.8 - 0.7| and |0.4 - 0.3|, half of the weight each."""
    assert reliability_bins(TWO_LEVELS, 2) == (
        ReliabilityBin(10, pytest.approx(0.4), pytest.approx(0.3)),
        ReliabilityBin(10, pytest.approx(0.8), pytest.approx(0.7)),
    )
    assert expected_calibration_error(TWO_LEVELS, 2) == pytest.approx(0.1)


def test_unequal_bins_weigh_by_count():
    """Three of belief 1 all right, one of belief 0 wrong: (3 * 0 + 1 * 1) / 4."""
    assert expected_calibration_error(Labelled(np.array([1.0, 1, 1, 0]), np.ones(4))) == pytest.approx(0.25)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.sampled_from([0.0, 1.0])), min_size=1), st.randoms()
)
def test_the_order_of_the_rows_means_nothing(rows, random):
    """Equal beliefs share a bin, so that no bin depends on which row came first."""
    mixed = random.sample(rows, len(rows))
    first, second = (Labelled(*np.array(those, dtype=float).T) for those in (rows, mixed))
    assert expected_calibration_error(first, 3) == pytest.approx(expected_calibration_error(second, 3))
    assert sum(one.count for one in reliability_bins(first, 3)) == len(rows)


def test_partial_correlation_by_hand():
    """All three correlate by 0.5: (0.5 - 0.25) / (1 - 0.25) = 1/3. Built from three orthogonal columns."""
    e1, e2, e3 = np.array([1.0, 1, -1, -1]), np.array([1.0, -1, 1, -1]), np.array([1.0, -1, -1, 1])
    given_N, length_N = e1, 0.5 * e1 + math.sqrt(0.75) * e2
    margin_N = 0.5 * e1 + (0.25 / math.sqrt(0.75)) * e2
    margin_N = margin_N + math.sqrt(1 - 0.25 - 0.0625 / 0.75) * e3
    assert partial_correlation(margin_N, length_N, given_N) == pytest.approx(1 / 3)


def test_a_judge_that_follows_labels_owes_nothing_to_length():
    """Length goes with the label, the margin is the label and noise at right angles to both."""
    label_N, noise_N = np.array([1.0, 1, 1, 1, -1, -1, -1, -1]), np.array([1.0, 1, -1, -1, 1, 1, -1, -1])
    length_N = label_N + np.array([1.0, -1, 1, -1, 1, -1, 1, -1])
    assert partial_correlation(label_N + noise_N, length_N, label_N) == pytest.approx(0)


def test_nothing_left_to_correlate():
    column_N = np.array([1.0, 2, 3])
    with pytest.raises(Undefined):
        partial_correlation(column_N, np.array([1.0, 3, 2]), column_N)
    with pytest.raises(Undefined):
        partial_correlation(np.ones(3), column_N, np.array([1.0, 3, 2]))
    with pytest.raises(Undefined):
        partial_correlation(np.array([math.nan, 1, 2]), column_N, np.array([1.0, 3, 2]))
    with pytest.raises(UnequalLengths):
        partial_correlation(np.ones(2), column_N, column_N)

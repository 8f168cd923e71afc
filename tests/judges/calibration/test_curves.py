"""Scaling and isotonic calibration: optima by hand, symmetry by construction, identity without labels, named errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.calibration.isotonic import Isotonic, fit_isotonic
from judges.calibration.labels import Labelled
from judges.calibration.reliability import brier, expected_calibration_error
from judges.calibration.scaling import fit_scaling
from judges.errors import ContradictoryLabels, OneLabelClass

FITS = [fit_scaling, fit_isotonic]
# A judge that says 0.9 or 0.1 and is right in three of four.
OVERSURE = Labelled(np.array([0.9] * 400 + [0.1] * 400), np.array([1.0] * 300 + [0.0] * 400 + [1.0] * 100))

labelled_rows = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=30).filter(
    lambda rows: {0.0, 1.0} <= {label for _, label in rows}
)


def as_pairs(rows) -> Labelled:
    return Labelled(np.array([p for p, _ in rows]), np.array([label for _, label in rows]))


def test_scaling_by_hand():
    """Odds 9 should be odds 3: slope log 3 / log 9 = 1/2, where the prior of 800 labels hardly pulls."""
    scaling = fit_scaling(OVERSURE)
    assert scaling.slope == pytest.approx(0.5, abs=0.01) and scaling.bias == 0
    assert scaling.apply(0.9) == pytest.approx(0.75, abs=0.005)


def test_the_slope_is_the_root_of_its_equation():
    """One right label at p = sigmoid(1) and its mirror: s solves (1 - s) / 0.25 + 2 (1 - sigmoid(s)) = 0."""
    p = 1 / (1 + math.exp(-1))
    slope = fit_scaling(Labelled(np.array([p, 1 - p]), np.array([1.0, 0.0]))).slope
    assert (1 - slope) * 4 + 2 * (1 - 1 / (1 + math.exp(-slope))) == pytest.approx(0, abs=1e-4)


def test_isotonic_by_hand():
    """At 0.9 stand 400 labels, 3/4 of them right (both orientations, half weight), and next to nothing of the prior."""
    isotonic = fit_isotonic(OVERSURE)
    assert isotonic.apply(0.9) == pytest.approx(0.75, abs=0.01)
    assert isotonic.apply(0.1) == pytest.approx(0.25, abs=0.01)


def test_isotonic_follows_a_shape_that_no_slope_has():
    """Right in 55 % where the judge says 0.6, and in 95 % where it says 0.8: one slope cannot do both."""
    p = np.array([0.6] * 1000 + [0.8] * 1000)
    label = np.array([1.0] * 550 + [0.0] * 450 + [1.0] * 950 + [0.0] * 50)
    flipped = np.arange(2000) % 2 == 0
    pairs = Labelled(np.where(flipped, 1 - p, p), np.where(flipped, 1 - label, label))
    isotonic = fit_isotonic(pairs)
    assert isotonic.apply(0.6) == pytest.approx(0.55, abs=0.01)
    assert isotonic.apply(0.8) == pytest.approx(0.95, abs=0.01)
    assert fit_scaling(pairs).apply(0.6) > 0.58


def test_both_lower_the_calibration_error():
    for fit in FITS:
        calibration = fit(OVERSURE)
        after = Labelled(np.array([calibration.apply(float(p)) for p in OVERSURE.p_a_N]), OVERSURE.label_N)
        assert expected_calibration_error(OVERSURE) == pytest.approx(0.15)
        assert expected_calibration_error(after) < 0.01
        assert brier(OVERSURE) == pytest.approx(0.21) and brier(after) == pytest.approx(0.1875, abs=0.001)


@pytest.mark.parametrize("fit", FITS)
@given(rows=labelled_rows, p=st.floats(0, 1), q=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_the_swapped_pair_gets_the_opposite_belief_and_order_is_kept(fit, rows, p, q):
    calibration = fit(as_pairs(rows))
    assert calibration.apply(p) + calibration.apply(1 - p) == pytest.approx(1)
    assert calibration.apply(0.5) == pytest.approx(0.5)
    assert calibration.apply(min(p, q)) <= calibration.apply(max(p, q)) + 1e-9
    assert 0.01 <= calibration.apply(p) <= 0.99


@pytest.mark.parametrize("fit", FITS)
@given(rows=labelled_rows, p=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_which_reply_is_called_a_means_nothing(fit, rows, p):
    swapped = [(1 - belief, 1 - label) for belief, label in rows]
    assert fit(as_pairs(rows)).apply(p) == pytest.approx(fit(as_pairs(swapped)).apply(p), abs=1e-3)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("p", [0.05, 0.3, 0.6, 0.9])
def test_two_labels_change_little(fit, p):
    """Two labels against the judge's word; 200 such change it wholly."""
    wrong = Labelled(np.array([0.7, 0.3]), np.array([0.0, 1.0]))
    assert abs(fit(wrong).apply(p) - p) < 0.12
    many = Labelled(np.repeat(wrong.p_a_N, 100), np.repeat(wrong.label_N, 100))
    assert abs(fit(many).apply(0.7) - 0.5) < 0.12


def test_a_judge_below_chance_is_brought_to_one_half_not_turned():
    wrong = Labelled(np.array([0.9] * 50 + [0.1] * 50), np.array([0.0] * 50 + [1.0] * 50))
    assert fit_scaling(wrong).slope == 0
    assert fit_isotonic(wrong).apply(0.9) == pytest.approx(0.5, abs=0.05)


def test_a_bias_is_fitted_for_single_replies_only_where_asked():
    """Half say yes to all at even odds, and 3 of 4 are no: the bias is log(1/3), drawn a little to 0."""
    lenient = Labelled(np.full(400, 0.5), np.array([1.0] * 100 + [0.0] * 300))
    assert fit_scaling(lenient).apply(0.5) == 0.5
    assert fit_scaling(lenient, with_bias=True).bias == pytest.approx(-math.log(3), abs=0.02)
    assert fit_isotonic(lenient, pairwise=False).apply(0.5) == pytest.approx(0.25, abs=0.02)
    assert fit_isotonic(lenient).apply(0.5) == 0.5


@pytest.mark.parametrize("fit", FITS)
def test_labels_that_allow_no_fit(fit):
    with pytest.raises(OneLabelClass):
        fit(Labelled(np.array([0.7, 0.8]), np.ones(2)))
    with pytest.raises(ContradictoryLabels):
        fit(Labelled(np.array([0.7, 0.8]), np.full(2, 0.5)))


def test_a_pairwise_curve_is_symmetrical_whatever_its_points():
    """At 0.9 the curve says 0.8, at 0.1 it says 0.4: the pair gets (0.8 + 1 - 0.4) / 2."""
    points = (0.1, 0.9), (0.4, 0.8)
    assert Isotonic(*points, pairwise=True, labels=9).apply(0.9) == pytest.approx(0.7)
    assert Isotonic(*points, pairwise=True, labels=9).apply(0.1) == pytest.approx(0.3)
    assert Isotonic(*points, pairwise=False, labels=9).apply(0.1) == pytest.approx(0.4)

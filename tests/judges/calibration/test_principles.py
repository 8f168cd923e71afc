"""Calibration principle by principle, and its JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.isotonic import Isotonic
from judges.calibration.labels import LabelledBelief
from judges.calibration.principles import (
    Uncalibrated,
    calibrated,
    calibration_json,
    fit_principles,
    read_calibration,
)
from judges.calibration.scaling import Scaling
from judges.errors import UnreadableCalibration
from judges.records import Preference

SOUND = [LabelledBelief(f"c{n}", 0.9 if n % 2 else 0.1, float(n % 2)) for n in range(40)]
ISOTONIC = Isotonic((0.01, 0.5, 0.99), (0.2, 0.5, 0.8), pairwise=True, labels=7)


def test_one_bad_principle_spoils_no_other():
    fitted = fit_principles({"kind": SOUND, "brief": [LabelledBelief("x", 0.9, 1)], "none": []})
    assert isinstance(fitted["kind"], Scaling) and fitted["kind"].slope > 1 and fitted["kind"].labels == 40
    assert isinstance(fitted["brief"], Uncalibrated) and "all 1 labels name reply A" in fitted["brief"].reason
    assert isinstance(fitted["none"], Uncalibrated) and "no labels" in fitted["none"].reason


def test_the_method_is_chosen():
    assert isinstance(fit_principles({"kind": SOUND}, "isotonic")["kind"], Isotonic)


def test_a_verdict_keeps_its_readings():
    """Slope 2 squares the odds: 3 becomes 9."""
    verdict = Preference(0.75, 0.8, 0.7, 0.95, "since")
    assert calibrated(verdict, Scaling(2.0, 0.0, 30)) == Preference(pytest.approx(0.9), 0.8, 0.7, 0.95, "since")
    assert calibrated(verdict, Uncalibrated("no labels")) is verdict


@given(st.floats(0, 10), st.floats(-5, 5), st.integers(1, 1000))
def test_json_comes_back_the_same(slope, bias, labels):
    scaling = Scaling(slope, bias, labels)
    assert read_calibration(calibration_json(scaling)) == scaling


def test_isotonic_json_comes_back_the_same():
    assert read_calibration(calibration_json(ISOTONIC)) == ISOTONIC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"method": "scaling", "slope": 1.0, "bias": 0.0}',
        '{"method": "scaling", "slope": NaN, "bias": 0.0, "labels": 3}',
        '{"method": "scaling", "slope": -1.0, "bias": 0.0, "labels": 3}',
        '{"method": "scaling", "slope": [], "bias": 0.0, "labels": 3}',
        '{"method": "scaling", "slope": 1.0, "bias": 0.0, "labels": 3, "more": 1}',
        '{"method": "voodoo", "slope": 1.0, "bias": 0.0, "labels": 3}',
    ],
)
def test_what_is_no_calibration_is_refused(text):
    with pytest.raises(UnreadableCalibration):
        read_calibration(text)


@pytest.mark.parametrize(
    "change",
    [
        {"p": [0.5, 0.01, 0.99]},
        {"belief": [0.8, 0.5, 0.2]},
        {"belief": [0.2, 0.8]},
        {"p": [], "belief": []},
        {"method": "other"},
        {"p": [0.01, 0.5, 2.0]},
        {"p": ["a", "b", "c"]},
        {"belief": 3},
    ],
)
def test_a_curve_that_does_not_rise_is_refused(change):
    with pytest.raises(UnreadableCalibration):
        read_calibration(json.dumps(json.loads(calibration_json(ISOTONIC)) | change))

"""Labels beside beliefs: what people said of one comparison is one row, and what is no label is refused by name."""

import math

import numpy as np
import pytest

from judges.calibration.labels import Labelled, LabelledBelief, check_both_classes, labelled
from judges.errors import (
    CalibrationError,
    ContradictoryLabels,
    NoLabels,
    NotAProbability,
    OneLabelClass,
    UnequalLengths,
)


def test_several_people_on_one_comparison_are_averaged():
    pairs = labelled([LabelledBelief("x", 0.8, 1), LabelledBelief("y", 0.3, 0), LabelledBelief("x", 0.8, 0)])
    assert pairs.p_a_N.tolist() == [0.8, 0.3] and pairs.label_N.tolist() == [0.5, 0.0]


def test_mirrored_holds_both_orientations():
    both = Labelled(np.array([0.75]), np.array([1.0])).mirrored()
    assert both.p_a_N.tolist() == [0.75, 0.25] and both.label_N.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("p_a", "label", "error"),
    [
        ([], [], NoLabels),
        ([math.nan], [1.0], NotAProbability),
        ([0.5], [math.nan], NotAProbability),
        ([1.5], [1.0], NotAProbability),
        ([0.5], [-1.0], NotAProbability),
        ([math.inf], [1.0], NotAProbability),
        ([0.5, 0.5], [1.0], UnequalLengths),
    ],
)
def test_what_is_no_label_is_refused(p_a: list[float], label: list[float], error: type[CalibrationError]):
    with pytest.raises(error):
        Labelled(np.array(p_a), np.array(label))


def test_the_refusal_says_which_one():
    with pytest.raises(NotAProbability, match="belief number 1 is nan"):
        Labelled(np.array([0.5, math.nan]), np.array([1.0, 0.0]))


def test_no_rows_at_all():
    with pytest.raises(NoLabels):
        labelled([])


def test_labels_that_cancel_out():
    with pytest.raises(ContradictoryLabels):
        check_both_classes(labelled([LabelledBelief("x", 0.8, 1), LabelledBelief("x", 0.8, 0)]).label_N)


@pytest.mark.parametrize(("labels", "side"), [([1.0, 1.0], "A"), ([0.0, 0.5], "B")])
def test_labels_of_one_class(labels: list[float], side: str):
    with pytest.raises(OneLabelClass, match=f"reply {side}"):
        check_both_classes(np.array(labels))

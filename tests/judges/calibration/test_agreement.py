"""Kappa and alpha by numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.calibration.agreement import cohen_kappa, krippendorff_alpha
from judges.errors import NoLabels, Undefined, UnequalLengths


def test_kappa_by_hand():
    """50 items: both yes 20, both no 15, 5 and 10 apart. Agreement 0.7, chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5: 0.4."""
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_kappa_of_opposites_and_of_the_same():
    assert cohen_kappa("abab", "baba") == -1
    assert cohen_kappa("abtab", "abtab") == 1


def test_kappa_has_no_value_where_chance_agrees_always():
    with pytest.raises(Undefined):
        cohen_kappa("aaa", "aaa")
    with pytest.raises(NoLabels):
        cohen_kappa([], [])
    with pytest.raises(UnequalLengths):
        cohen_kappa("aa", "a")


def test_alpha_by_hand():
    """Two raters, items aa, ab, bb, bb: of 8 values 3 a and 5 b. Observed disagreement is 2 of 8; expected
    2 * 3 * 5 / (8 * 7) = 30/56. 1 - 0.25 / (30/56) = 1 - 14/30."""
    assert krippendorff_alpha(["aa", "ab", "bb", "bb"]) == pytest.approx(16 / 30)


def test_alpha_with_missing_labels_by_hand():
    """Items aab (three raters), bb, and a lone a that says nothing. Values: 2 a, 3 b. Item aab disagrees in
    2*2*1 ordered pairs, over 2: 2. Expected: 2*2*3 / 4 = 3. 1 - 2/3."""
    assert krippendorff_alpha(["aab", "bb", "a", ""]) == pytest.approx(1 / 3)


def test_alpha_has_no_value_without_two_categories():
    with pytest.raises(Undefined):
        krippendorff_alpha(["aa", "aaa"])
    with pytest.raises(NoLabels):
        krippendorff_alpha(["a", "b", ""])


@given(st.lists(st.text("ab", min_size=2, max_size=4), min_size=1, max_size=20))
def test_alpha_knows_no_order_and_no_names(items):
    if len(set("".join(items))) < 2:
        return
    alpha = krippendorff_alpha(items)
    renamed = [item[::-1].translate(str.maketrans("ab", "ba")) for item in reversed(items)]
    assert alpha == pytest.approx(krippendorff_alpha(renamed))
    assert alpha <= 1

"""Weighted log-odds over principles, by numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.combine import Combined, combine_verdicts
from judges.records import Abstention, Preference, PrincipleVerdict


def verdict(principle: str, p_a: float | None, kind="judged") -> PrincipleVerdict:
    answer = Abstention("no_label_mass", "I") if p_a is None else Preference(p_a, p_a, p_a, 1.0)
    return PrincipleVerdict("c", "p", principle, kind, "m", "", answer)


def test_one_verdict_stays():
    assert combine_verdicts([verdict("kind", 0.8)], {"kind": 1.0}) == Combined(pytest.approx(0.8), ("kind",), "ai", 0)


def test_weights_are_exponents_of_the_odds():
    """Odds 4 with weight 2 and odds 1/2 with weight 1: 16 / 2 = 8, so p = 8/9."""
    combined = combine_verdicts([verdict("x", 0.8), verdict("y", 1 / 3)], {"x": 2.0, "y": 1.0})
    assert combined == Combined(pytest.approx(8 / 9), ("x",), "ai", 0)


def test_a_check_counts_as_nine_to_one():
    """A check's 1 counts as 0.9: odds 9; against a judge's odds 1/3 that makes 3, so p = 0.75."""
    combined = combine_verdicts([verdict("brief", 1.0, "checked"), verdict("kind", 0.25)], {"brief": 1, "kind": 1})
    assert combined == Combined(pytest.approx(0.75), ("brief",), "ai", 0)


def test_two_checks_by_hand():
    """9 * 9 = 81 to 1 is 0.9878; a third would pass 0.99, where the belief is held."""
    two = [verdict(name, 1.0, "checked") for name in ("a", "b")]
    combined = combine_verdicts(two, {"a": 1, "b": 1})
    assert combined == Combined(pytest.approx(81 / 82), ("a", "b"), "check", 0)
    three = combine_verdicts([*two, verdict("c", 1.0, "checked")], {"a": 1, "b": 1, "c": 1})
    assert isinstance(three, Combined) and three.p_a == 0.99


def test_checks_that_disagree_are_a_tie():
    both = [verdict("a", 1.0, "checked"), verdict("b", 0.0, "checked")]
    combined = combine_verdicts(both, {"a": 1, "b": 1})
    assert combined == Combined(0.5, (), "check", 0)


def test_a_tied_judge_leaves_the_source_to_the_check():
    combined = combine_verdicts([verdict("a", 1.0, "checked"), verdict("kind", 0.5)], {"a": 1, "kind": 1})
    assert combined == Combined(pytest.approx(0.9), ("a",), "check", 0)


def test_the_decisive_come_strongest_first():
    told = [verdict("weak", 0.6), verdict("against", 0.3), verdict("strong", 0.95)]
    combined = combine_verdicts(told, {"weak": 1, "against": 1, "strong": 1})
    assert isinstance(combined, Combined) and combined.decisive == ("strong", "weak")


def test_abstentions_are_counted_and_pull_nothing():
    told = [verdict("kind", 0.8), verdict("honest", None), verdict("unweighted", None)]
    combined = combine_verdicts(told, {"kind": 1, "honest": 1, "unweighted": 0})
    assert combined == Combined(pytest.approx(0.8), ("kind",), "ai", 1)


def test_only_abstentions_are_an_abstention():
    assert combine_verdicts([verdict("kind", None)], {"kind": 1}) == Abstention("no_label_mass", "I")


def test_no_weight_at_all_is_an_abstention():
    combined = combine_verdicts([verdict("kind", 0.9)], {"kind": 0.0})
    assert isinstance(combined, Abstention)
    assert isinstance(combine_verdicts([], {}), Abstention)


told = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["judged", "checked"]), st.floats(0, 5)), min_size=1, max_size=6
)


def combined_p(entries, mirror=False):
    verdicts = [verdict(str(i), 1 - p if mirror else p, kind) for i, (p, kind, _) in enumerate(entries)]
    return combine_verdicts(verdicts, {str(i): weight for i, (_, _, weight) in enumerate(entries)})


@given(told)
def test_swapping_the_replies_mirrors_the_belief(entries):
    one, other = combined_p(entries), combined_p(entries, mirror=True)
    if isinstance(one, Combined):
        assert isinstance(other, Combined)
        assert one.p_a == pytest.approx(1 - other.p_a, abs=1e-9)
    else:
        assert isinstance(other, Abstention)


@given(told, st.floats(0, 1))
def test_a_principle_without_weight_never_moves_it(entries, p):
    assert combined_p([*entries, (p, "judged", 0.0)]) == combined_p(entries)


@given(told)
def test_the_belief_stays_in_its_bounds(entries):
    combined = combined_p(entries)
    assert isinstance(combined, Abstention) or (0.01 <= combined.p_a <= 0.99 and not math.isnan(combined.p_a))

"""A check as a verdict."""

import pytest

from constitutions.schema import CheckedPrinciple
from judges.checking import check_comparison
from judges.records import Comparison, Message, Preference

BRIEF = CheckedPrinciple(kind="checked", id="brief", text="At most three words.", check={"max_words": 3})


CASES = [
    ("one two", "one two three four", 1.0),
    ("one two three four", "one", 0.0),
    ("one", "two", 0.5),
    ("1 2 3 4", "1 2 3 4 5", 0.5),
]


@pytest.mark.parametrize(("a", "b", "p_a"), CASES)
def test_only_the_one_that_passes_wins(a, b, p_a):
    told = check_comparison(Comparison("c", "p", (Message("user", "Hi"),), a, b), BRIEF)
    assert isinstance(told.verdict, Preference)
    assert (told.verdict.p_a, told.verdict.p_a_ab, told.verdict.p_a_ba) == (p_a, p_a, p_a)
    assert (told.verdict.label_mass, told.kind, told.judge, told.principle_id) == (1.0, "checked", "check", "brief")
    assert not told.verdict.flipped
    assert told.verdict.reason.startswith("A: ") and "; B: " in told.verdict.reason
    assert (told.prompt_tokens, told.completion_tokens) == (0, 0)

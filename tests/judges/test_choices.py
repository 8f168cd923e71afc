"""A and B from the first token's top logprobs, by numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.choices import (
    Choice,
    ChoiceReader,
    LabelShares,
    label_masses,
    logit,
    read_choice,
    read_labels,
    sigmoid,
)
from judges.records import Abstention
from judges.wire import ChatReply, TokenLogprob

READER = ChoiceReader()


def told(masses: dict[str, float]) -> ChatReply:
    entries = tuple(TokenLogprob(token, math.log(mass)) for token, mass in masses.items())
    return ChatReply("A", "length", 10, 1, entries)


def test_the_letters_share_their_own_mass():
    """0.6 to 0.2 is 3 to 1."""
    choice = read_choice(told({"A": 0.6, "B": 0.2, "The": 0.2}), READER)
    assert choice == Choice(pytest.approx(0.75), pytest.approx(0.8))


def test_all_spellings_are_summed():
    """A: 0.3 + 0.1 + 0.05 + 0.05 = 0.5; B: 0.2 + 0.05 = 0.25; 2 to 1."""
    spelt = told({"A": 0.3, " A": 0.1, "(A": 0.05, "\u0120A": 0.05, "B": 0.2, "**B": 0.05, "a": 0.2, "An": 0.05})
    assert read_choice(spelt, READER) == Choice(pytest.approx(2 / 3), pytest.approx(0.75))


SPELT = ["A", " A", "\u2581A", "\u0120A", "(A", "(A)", "[A", '"A', "'A", "*A", "**A", "A.", "A)", "A:", "\nA"]


@pytest.mark.parametrize("token", SPELT)
def test_spellings_that_count(token):
    assert read_choice(told({token: 0.5, "B": 0.25}), READER) == Choice(pytest.approx(2 / 3), pytest.approx(0.75))


@pytest.mark.parametrize("token", ["a", " a", "An", "AB", "Al", "Answer", "C", "", " ", "\u0410", "A A"])
def test_spellings_that_do_not_count(token):
    """The last but one is a Cyrillic A."""
    choice = read_choice(told({token: 0.5, "A": 0.1, "B": 0.1}), READER)
    assert choice == Choice(pytest.approx(0.5), pytest.approx(0.2))


def test_a_judge_that_wants_to_say_something_else_abstains():
    verdict = read_choice(told({"I": 0.9, "A": 0.05, "B": 0.04}), READER)
    assert isinstance(verdict, Abstention)
    assert verdict.cause == "no_label_mass"
    assert verdict.raw == "'I':0.900 'A':0.050 'B':0.040"


def test_no_letter_at_all_is_an_abstention_even_without_a_threshold():
    verdict = read_choice(told({"I": 0.9}), ChoiceReader(min_label_mass=1e-9))
    assert isinstance(verdict, Abstention)


def test_an_unseen_letter_counts_as_the_last_seen_token():
    """B is not among the top two, so it has at most 0.1: A has at least 0.8 / 0.9. The label mass is what was seen."""
    choice = read_choice(told({"A": 0.8, "The": 0.1}), READER)
    assert choice == Choice(pytest.approx(8 / 9), pytest.approx(0.8))


def test_an_unseen_letter_never_beats_a_seen_one():
    assert read_choice(told({"A": 0.8}), READER) == Choice(pytest.approx(0.5), pytest.approx(0.8))


def test_nothing_generated_is_empty():
    assert read_choice(ChatReply("", "stop", 10, 0), READER) == Abstention("empty", "")


def test_the_threshold_is_the_readers():
    seen = told({"A": 0.15, "B": 0.15, "The": 0.7})
    assert isinstance(read_choice(seen, READER), Choice)
    assert isinstance(read_choice(seen, ChoiceReader(min_label_mass=0.31)), Abstention)


def test_logit_by_hand():
    assert logit(0.9) == pytest.approx(math.log(9))
    assert logit(0.5) == 0
    assert logit(0.0) == pytest.approx(-13.8155, abs=1e-3)  # log(1e-6)
    assert sigmoid(math.log(3)) == pytest.approx(0.75)
    assert sigmoid(-1000) == 0.0


@given(st.floats(min_value=1e-5, max_value=1 - 1e-5))
def test_sigmoid_undoes_logit(p):
    assert sigmoid(logit(p)) == pytest.approx(p)


@given(st.floats(0.01, 0.45), st.floats(0.01, 0.45))
def test_swapping_the_letters_mirrors_the_choice(a, b):
    one, other = (read_choice(told({"A": x, "B": y, "The": 0.1}), ChoiceReader(0.0)) for x, y in ((a, b), (b, a)))
    assert isinstance(one, Choice) and isinstance(other, Choice)
    assert one.p_first == pytest.approx(1 - other.p_first)


LEVELS = ("1", "2", "3", "4", "5")


def test_levels_share_their_mass_over_all_spellings():
    """2: 0.1; 4: 0.3 + 0.1 = 0.4; 5: 0.3; the rest at most 0.1, the last entry, and so as much as the least seen.

    Filled: 0.1 + 0.1 + 0.1 + 0.4 + 0.3 = 1.0.
    """
    read = read_labels(told({"4": 0.3, " 4": 0.1, "5": 0.3, "2": 0.1, "10": 0.1, "The": 0.1}), LEVELS, READER)
    assert isinstance(read, LabelShares)
    assert read.shares == pytest.approx((0.1, 0.1, 0.1, 0.4, 0.3))
    assert read.label_mass == pytest.approx(0.8)


@pytest.mark.parametrize(
    "token", ["yes", "Yes", "YES", " yes", "\u2581Yes", "\u0120yes", "**Yes", "(yes", '"Yes"', "yes."]
)
def test_words_count_in_any_case(token):
    read = read_labels(told({token: 0.6, "No": 0.2}), ("no", "yes"), READER)
    assert isinstance(read, LabelShares) and read.shares == pytest.approx((0.25, 0.75))


@pytest.mark.parametrize(
    "token", ["yesterday", "y", "Ye", "not", "None", "No way", "ja", "\u662f", "45", "4.5", "-4", "\u0664"]
)
def test_what_is_no_label_has_no_mass(token):
    """The last is an Arabic four."""
    assert label_masses(told({token: 0.9}).first_token, ("no", "yes", *LEVELS)) == (0.0,) * 7


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", " A", "B", "(B", "yes", "No", "3", "\u01205", "I", "", "ab"]), st.floats(-30, 0)
        ),
        max_size=20,
    ),
    st.sampled_from([("A", "B"), ("no", "yes"), LEVELS]),
)
def test_shares_sum_to_one_or_it_abstains(entries, labels):
    reply = ChatReply("x", "length", 1, 1, tuple(TokenLogprob(token, logprob) for token, logprob in entries))
    read = read_labels(reply, labels, ChoiceReader(0.0))
    if isinstance(read, Abstention):
        assert not any(label_masses(reply.first_token, labels))
    else:
        assert sum(read.shares) == pytest.approx(1) and all(0 < share <= 1 for share in read.shares)
        assert len(read.shares) == len(labels) and 0 < read.label_mass <= 1

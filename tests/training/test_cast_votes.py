"""Votes in one row, and a person's taken out again."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cast_votes import VOTES, CastVote, row_of_votes, without_people
from training.people_votes import p_first

from .test_rows import make_row

ROW = make_row(chosen="good", rejected="bad", tags=(("kept", "yes"),))  # `bad` is the first reply by its text
CASTS = st.builds(
    CastVote,
    st.sampled_from("abc"),
    st.sampled_from(["", "brief", "kind"]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.floats(0.1, 2.0),
)


def test_votes_by_hand() -> None:
    votes = [CastVote("ann", "", 1.0, 1.0), CastVote("bo", "brief", 0.0, 0.5), CastVote("cy", "brief", 0.5, 0.5)]
    row = row_of_votes(ROW, votes)
    # for `bad`: (1 * 1 + 0.5 * 0 + 0.5 * 0.5) / 2 = 0.625; under `brief` (0 + 0.25) / 1
    assert (row.chosen, row.p_chosen, row.weight) == ("bad", 0.625, pytest.approx(2 / 3))
    assert row.per_principle == (("brief", 0.25),) and row.annotators == ("ann", "bo", "cy")
    left = without_people(row, {"ann"})
    assert left is not None
    assert (left.chosen, left.p_chosen, left.weight, left.annotators) == ("good", 0.75, 0.5, ("bo", "cy"))
    assert left.per_principle == (("brief", 0.75),)


@given(st.lists(CASTS, min_size=1, max_size=6), st.sets(st.sampled_from("abc")))
def test_taking_out_is_the_same_as_never_having_voted(votes: list[CastVote], people: set[str]) -> None:
    others = [vote for vote in votes if vote.annotator not in people]
    found = without_people(row_of_votes(ROW, votes), people)
    if not others:
        assert found is None
    elif len({vote.annotator for vote in votes}) > 1:
        assert found is not None
        expected = row_of_votes(ROW, others)
        # a tie leaves the sides where the votes before had put them
        assert p_first(found) == pytest.approx(p_first(expected))
        assert (found.weight, found.annotators, found.tags) == (expected.weight, expected.annotators, expected.tags)


@pytest.mark.parametrize(
    "told",
    ["{", "7", '[["ann"]]', '[[["ann"], "", 1.0, 1.0]]', '[["ann", "", 2.0, 1.0], ["bo", "", 1.0, 1.0]]', "[]"],
)
def test_a_tag_that_is_not_ours_tells_nobody_apart(told: str) -> None:
    row = replace(ROW, annotators=("ann", "bo"), p_chosen=0.75, tags=((VOTES, told),))
    assert without_people(row, {"ann"}) is None
    sure = without_people(replace(row, p_chosen=1.0), {"ann"})
    assert sure is not None and sure.annotators == ("bo",)


def test_votes_of_other_people_than_the_rows_are_not_its_votes() -> None:
    told = json.dumps([["ann", "", 1.0, 1.0], ["dan", "", 0.0, 1.0]])
    assert without_people(replace(ROW, annotators=("ann", "bo"), p_chosen=0.75, tags=((VOTES, told),)), {"ann"}) is None


def test_of_an_owned_row_the_votes_under_its_own_principles_count() -> None:
    votes = [CastVote("ann", "brief", 1.0, 1.0), CastVote("bo", "brief", 0.0, 1.0), CastVote("bo", "kind", 1.0, 1.0)]
    owned = replace(row_of_votes(ROW, votes), per_principle=(("brief", 0.5),))
    left = without_people(owned, {"ann"})
    assert left is not None and (left.chosen, left.per_principle) == ("good", (("brief", 1.0),))

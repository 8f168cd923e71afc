"""People's agreement and pooled votes, worked by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.people_votes import Agreement, Votes, logit, pooled_votes, read_votes
from training.ranked import RANKED
from training.rows import PreferenceRow

from .test_rows import make_row


def vote(pair: int, name: str, right: bool, **changes: object) -> PreferenceRow:
    wins, loses = ("good", "bad") if right else ("bad", "good")
    given = {"chosen": f"{wins} {pair}", "rejected": f"{loses} {pair}", "p_chosen": 1.0, "annotators": (name,)}
    return make_row(f"{pair}-{name}", **(given | changes))


def two_people(agree: int, differ: int) -> list[PreferenceRow]:
    votes = [vote(n, "ann", True) for n in range(agree + differ)]
    return votes + [vote(n, "bo", n < agree) for n in range(agree + differ)]


def test_agreement_and_what_a_vote_is_worth():
    # 82 of 100 agree: beyond chance 0.64 = (2A - 1)^2, so each is right in 0.9
    votes = read_votes(two_people(82, 18))
    assert votes.people == Agreement(100, 0.82)
    assert votes.accuracy == {"ann": pytest.approx(0.9), "bo": pytest.approx(0.9)}
    # held to the usual 0.452 by ten votes
    assert votes.beyond_chance == pytest.approx((100 * 0.64 + 10 * 0.452) / 110)
    assert Votes(None, {}).beyond_chance == pytest.approx(0.452)
    assert Votes(Agreement(10_000, 0.3), {}).beyond_chance == 0.1


def test_a_weak_annotator_is_found_among_good_ones():
    votes = []
    for n in range(40):
        votes += [vote(n, name, True) for name in ("ann", "bo", "cy")] + [vote(n, "dan", n % 2 == 0)]
    accuracy = read_votes(votes).accuracy
    # dan agrees in half of 120 twos: (60 + 10 * 0.75) / 130 = 0.51923; people's 0.75: beyond chance 0.5
    assert accuracy["dan"] == pytest.approx(0.5 + (2 * 67.5 / 130 - 1) / math.sqrt(0.5) / 2)
    assert accuracy["ann"] > 0.9 > 0.6 > accuracy["dan"]


def test_two_rankings_agree_on_fewer_labels_than_they_have_rows():
    # of five replies: 9 / 15 a row, so 20 twos of rows are 12 of labels, and 16 are too few
    ranked = [replace(row, tags=((RANKED, "5"),)) for row in two_people(15, 5)]
    votes = read_votes(ranked)
    assert votes.people is not None
    assert (votes.people.shared, votes.people.agreement) == pytest.approx((12, 0.75))
    # each agrees in 9 of 12, held to everybody's 0.75 by ten: beyond chance 0.5 = (2A - 1)^2
    assert votes.accuracy["ann"] == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    assert votes.beyond_chance == pytest.approx((12 * 0.5 + 10 * 0.452) / 22)
    assert read_votes([row for row in ranked if int(row.id.split("-")[0]) < 16]).people is None


def test_one_person_or_few_shared_pairs_tell_nothing():
    assert read_votes([vote(n, "ann", True) for n in range(50)]) == Votes(None, {})
    rows = two_people(9, 0)
    assert read_votes(rows).people is None
    assert pooled_votes(rows, read_votes(rows)) == tuple(rows)
    twice = [replace(vote(n, "ann", True), id=f"{n}-{k}") for n in range(20) for k in (1, 2)]
    assert read_votes(twice).people is None  # the same person twice is no second opinion


def test_rows_of_nobodys_name_say_nothing_of_agreement():
    # An import keeps the contradictions alone: of equal rows without a name it cannot tell one person from two.
    against = [vote(n, name, name == "ann", annotators=()) for n in range(20) for name in ("ann", "bo")]
    assert read_votes(against) == Votes(None, {})
    assert pooled_votes(against, read_votes(against)) == tuple(against)
    named = two_people(82, 18)
    assert read_votes([*named, *(vote(n, "cy", False, annotators=()) for n in range(100))]) == read_votes(named)


def test_votes_on_a_pair_multiply_their_odds():
    # accuracies 0.9 (odds 9) and 0.6 (odds 1.5): against each other 6 to 1 for ann
    known = Votes(Agreement(100, 0.8), {"ann": 0.9, "bo": 0.6})
    row, *others = pooled_votes([vote(1, "bo", False), vote(1, "ann", True)], known)
    assert others == []
    assert (row.id, row.chosen, row.annotators) == ("1-ann", "good 1", ("ann", "bo"))
    assert row.p_chosen == pytest.approx(6 / 7)
    alone = pooled_votes([vote(2, "bo", False)], known)[0]
    assert (alone.chosen, alone.p_chosen) == ("bad 2", pytest.approx(0.6))
    # at half the weight the second vote's log-odds count half: odds 9 / sqrt(1.5)
    half = pooled_votes([vote(1, "ann", True), vote(1, "bo", False, weight=0.5)], known)[0]
    assert logit(half.p_chosen) == pytest.approx(math.log(9 / math.sqrt(1.5)))
    assert half.weight == 1.0


def test_votes_under_different_principles_stay_apart():
    known = Votes(Agreement(100, 0.8), {})
    rows = [vote(1, "ann", True, per_principle=(("a", 1.0),)), vote(1, "bo", False, per_principle=(("b", 1.0),))]
    assert len(pooled_votes(rows, known)) == 2


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abcd"), st.booleans()), unique_by=lambda v: v[:2]))
def test_pooling_keeps_every_pair_and_follows_no_order(said):
    rows = [vote(*one) for one in said]
    votes = read_votes(rows)
    assert votes == read_votes(rows[::-1])
    pooled = pooled_votes(rows, votes)
    assert {(*row.prompt, row.chosen.split()[1]) for row in pooled} == {
        (*row.prompt, row.chosen.split()[1]) for row in rows
    }
    assert all(0.5 <= row.p_chosen <= 1 for row in pooled)
    again = {row.id: row.p_chosen for row in pooled_votes(rows[::-1], votes)}
    assert again == pytest.approx({row.id: row.p_chosen for row in pooled})

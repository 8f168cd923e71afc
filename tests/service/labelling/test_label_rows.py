"""Labels as preference rows: votes counted by hand, and what makes none."""

import math
from dataclasses import replace

import pytest

from judges.records import Message
from service.labelling.revision_prompts import prompts_to_revise
from service.labelling.rows import rows_from_labels
from service.store.label_records import TaskLabel
from training.cast_votes import without_people
from training.ranked import effective_sample_size

PROMPT = (Message("user", "Why?"),)


def label(annotator="ann_1", choice="a", **more) -> TaskLabel:
    settings = {
        "label_id": "lbl", "task_id": "ltk", "label_project_id": "lpr", "annotator_id": annotator, "kind": "compare",
        "pair_id": "p1", "prompt": PROMPT, "replies": ("x", "y"), "principle_id": None, "routed_by": "all",
        "gold": None, "training": False, "judge_p_a": None, "choice": choice, "order": (0, 1), "ranking": (),
        "rewrite": "", "comment": "", "seconds": 1.0, "created_at": "",
    }  # fmt: skip
    return TaskLabel(**(settings | more))


def said(made):
    return [(row.chosen, row.rejected, row.p_chosen, row.annotators) for row in made.rows]


def test_a_row_for_each_annotator():
    made = rows_from_labels([label(), label("ann_2", "b"), label("ann_3", "tie")], aggregate=False)
    assert said(made) == [("x", "y", 1.0, ("ann_1",)), ("y", "x", 1.0, ("ann_2",)), ("x", "y", 0.5, ("ann_3",))]
    assert {row.source for row in made.rows} == {"human"}
    assert len({row.id for row in made.rows}) == 3


def test_or_one_row_a_pair_with_the_share_of_the_votes():
    # b, b, tie: a has half a vote of three, so b is chosen with 2.5 / 3.
    made = rows_from_labels([label("ann_1", "b"), label("ann_2", "b"), label("ann_3", "tie")], aggregate=True)
    [(chosen, rejected, p_chosen, people)] = said(made)
    assert (chosen, rejected, people) == ("y", "x", ("ann_1", "ann_2", "ann_3"))
    assert p_chosen == pytest.approx(2.5 / 3)


def test_an_aggregated_row_can_lose_one_persons_votes():
    labels = [label(), label("ann_2", "b"), label("ann_3"), label("ann_2", "tie", principle_id="kind")]
    (row,) = rows_from_labels(labels, aggregate=True).rows
    left = without_people(row, {"ann_2"})
    (alone,) = rows_from_labels([labels[0], labels[2]], aggregate=True).rows
    assert replace(left, id="", origin="") == replace(alone, id="", origin="")
    assert without_people(row, {"ann_1", "ann_2", "ann_3"}) is None


def test_an_aggregated_row_keeps_its_id_when_a_vote_comes_in():
    (one,) = rows_from_labels([label()], aggregate=True).rows
    (both,) = rows_from_labels([label(), label("ann_2", "b")], aggregate=True).rows
    (own,) = rows_from_labels([label()], aggregate=False).rows
    (elsewhere,) = rows_from_labels([label(label_project_id="lpr_2")], aggregate=True).rows
    assert one.id == both.id and len({one.id, own.id, elsewhere.id}) == 3
    assert (one.annotators, both.annotators) == (("ann_1",), ("ann_1", "ann_2"))


def test_several_principles_are_averaged_and_each_is_kept():
    made = rows_from_labels(
        [label(principle_id="honest"), label(principle_id="kind", choice="b"), label(principle_id="brief")],
        aggregate=False,
    )
    [row] = made.rows
    assert row.p_chosen == pytest.approx(2 / 3)
    assert row.per_principle == (("honest", 1.0), ("kind", 0.0), ("brief", 1.0))


def test_both_bad_asks_for_a_revision_and_a_skip_makes_nothing():
    made = rows_from_labels(
        [label(choice="both_bad"), label("ann_2", "both_bad"), label("ann_3", "skip")], aggregate=False
    )
    assert (made.rows, made.asks_revision, made.skips) == ((), ("p1",), 1)


def test_prompts_to_revise_are_told_once_each_and_not_by_what_measures_people():
    other = (Message("user", "When?"),)
    asked = [
        label(choice="both_bad", routed_by="gold", gold="both_bad", prompt=(Message("user", "Who?"),)),
        label("ann_2", "a"),
        label("ann_2", "both_bad", prompt=other, kind="rank", replies=("x", "y", "z")),
        label("ann_3", "both_bad", pair_id="p2"),
        label("ann_4", "both_bad"),
    ]
    told = prompts_to_revise(asked)
    assert [(prompt.messages, prompt.split) for prompt in told] == [(other, "train"), (PROMPT, "train")]
    assert len({prompt.id for prompt in told}) == 2 and prompts_to_revise(asked[:2]) == ()


def test_most_votes_for_both_bad_make_no_row_of_all_votes():
    bad = [label(choice="both_bad"), label("ann_2", "both_bad")]
    made = rows_from_labels([*bad, label("ann_3")], aggregate=True)
    assert (made.rows, made.asks_revision) == ((), ("p1",))
    # Each one's own row says what that person said.
    assert said(rows_from_labels([*bad, label("ann_3")], aggregate=False)) == [("x", "y", 1.0, ("ann_3",))]
    # Two against two: there is a row; a tie is a vote of those who do not find both bad.
    even = rows_from_labels([*bad, label("ann_3"), label("ann_4", "tie")], aggregate=True)
    assert said(even) == [("x", "y", 0.75, ("ann_3", "ann_4"))] and even.asks_revision == ("p1",)


def test_most_is_by_weight_where_that_is_measured():
    # Gold makes 1.58 of ann_1 and 0.1 of the two others: their two votes for both bad are 0.2.
    labels = [*gold("ann_1", True), *gold("ann_2", False), *gold("ann_3", False)]
    votes = [label(), label("ann_2", "both_bad"), label("ann_3", "both_bad")]
    made = rows_from_labels([*labels, *votes], aggregate=True, weights="measured")
    assert said(made) == [("x", "y", 1.0, ("ann_1",))]


def test_a_ranking_that_was_refused_counts_as_its_pairs_do():
    kind = {"kind": "rank", "replies": ("x", "y", "z")}
    ranked = label("ann_3", "ranked", ranking=(0, 1, 2), **kind)
    refused = [label(name, "both_bad", **kind) for name in ("ann_1", "ann_2")]
    assert len(rows_from_labels([*refused[:1], ranked], aggregate=True).rows) == 3
    assert rows_from_labels([*refused, ranked], aggregate=True).rows == ()


def test_a_better_text_is_chosen_over_the_original():
    better = label(kind="rewrite", replies=("draft",), choice="rewritten", rewrite="better")
    same = label("ann_2", kind="rewrite", replies=("draft",), choice="rewritten", rewrite="draft")
    assert said(rows_from_labels([better, same], aggregate=False)) == [("better", "draft", 1.0, ("ann_1",))]


def test_a_ranking_is_all_its_pairs_and_votes_on_one_pair_meet_in_either_order():
    ranked = {"kind": "rank", "replies": ("x", "y", "z"), "choice": "ranked"}
    one, two = label(ranking=(2, 0, 1), **ranked), label("ann_2", ranking=(0, 2, 1), **ranked)
    assert said(rows_from_labels([one], aggregate=False)) == [
        ("z", "x", 1.0, ("ann_1",)),
        ("z", "y", 1.0, ("ann_1",)),
        ("x", "y", 1.0, ("ann_1",)),
    ]
    both = said(rows_from_labels([one, two], aggregate=True))
    assert [p_chosen for _, _, p_chosen, _ in both] == [0.5, 1.0, 1.0]  # they differ on z and x alone


def test_a_ranking_of_nine_counts_as_eleven_labels_and_not_as_36():
    ranked = label(kind="rank", replies=tuple("abcdefghi"), choice="ranked", ranking=tuple(range(9)))
    rows = rows_from_labels([ranked, label()], aggregate=False).rows
    # each of its 36 rows weighs 3 / (9 + 1)
    assert len(rows) == 37 and math.fsum(row.weight for row in rows) == pytest.approx(36 * 0.3 + 1)
    assert effective_sample_size(rows) == pytest.approx(11.8)
    one, two = (label(name, kind="rank", replies=("x", "x", "y"), choice="ranked", ranking=(0, 1, 2)) for name in "ab")
    [(chosen, _, p_chosen, _)] = said(both := rows_from_labels([one, two], aggregate=True))
    assert (chosen, p_chosen) == ("x", 1.0) and both.rows[0].weight == 1.0  # two different texts are one pair


@pytest.mark.parametrize("why", ["training", "gold", "repeat"])
def test_what_measures_people_makes_no_row(why):
    made = rows_from_labels([label(routed_by=why)], aggregate=False)
    assert (made.rows, made.measuring) == ((), 1)


def test_where_the_page_showed_the_chosen_reply_is_kept():
    # In the order (1, 0) the page shows B first.
    for choice, order, place in (("a", (0, 1), "first"), ("a", (1, 0), "second"), ("b", (1, 0), "first")):
        (row,) = rows_from_labels([label(choice=choice, order=order)], aggregate=False).rows
        assert row.tags == (("chosen_shown", place),), (choice, order)
    (tie,) = rows_from_labels([label(choice="tie")], aggregate=False).rows
    assert tie.tags == ()
    both = [label(choice="a", order=(0, 1)), label("ann_2", choice="a", order=(1, 0))]
    (row,) = rows_from_labels(both, aggregate=True).rows
    assert [name for name, _ in row.tags] == ["votes"]


def test_comments_stay_with_the_row():
    one, two = label(comment="It cites a source."), label("ann_2", comment="Shorter,\nand true.")
    again = label(principle_id="kind", comment="It cites a source.")
    rows = rows_from_labels([one, two, again, label("ann_3")], aggregate=False).rows
    assert [dict(row.tags).get("comment") for row in rows] == ["It cites a source.", "Shorter,\nand true.", None]
    (row,) = rows_from_labels([one, two, again], aggregate=True).rows
    assert dict(row.tags)["comment"] == "ann_1: It cites a source.\nann_2: Shorter,\nand true."


def gold(annotator, right, count=10):
    """Answers to gold tasks, whose right choice is a."""
    return [
        label(annotator, "a" if right else "b", pair_id=f"gold {n}", routed_by="gold", gold="a") for n in range(count)
    ]


def test_measured_a_row_weighs_what_its_person_does():
    # By gold alone: (8 + 10) / 20 = 0.9 right, so log 9 / log 4; (8 + 0) / 20 = 0.4 is below chance, so the least, 0.1.
    measuring = [*gold("ann_1", True), *gold("ann_2", False)]
    labels = [*measuring, label("ann_1", pair_id="p1"), label("ann_2", pair_id="p2", replies=("v", "w"))]
    made = rows_from_labels(labels, aggregate=False, weights="measured")
    assert made.weights == pytest.approx({"ann_1": math.log(9) / math.log(4), "ann_2": 0.1})
    assert [row.weight for row in made.rows] == pytest.approx(list(made.weights.values()))
    equal = rows_from_labels(labels, aggregate=False)
    assert ([row.weight for row in equal.rows], equal.weights) == ([1.0, 1.0], {})
    assert [row.id for row in equal.rows] == [row.id for row in made.rows]


def test_measured_votes_on_one_pair_count_by_weight():
    labels = [*gold("ann_1", True), *gold("ann_2", False), label("ann_1", "b"), label("ann_2", "a")]
    made = rows_from_labels(labels, aggregate=True, weights="measured")
    strong, weak = made.weights["ann_1"], made.weights["ann_2"]
    [row] = made.rows
    assert (row.chosen, row.annotators) == ("y", ("ann_1", "ann_2"))
    assert row.p_chosen == pytest.approx(strong / (strong + weak)) and row.p_chosen > 0.9
    assert row.weight == pytest.approx((strong + weak) / 2)


def test_a_row_tells_why_its_pair_was_sent_and_by_what_chance():
    drawn, chosen = label(routed_by="random", p_sent=0.25), label(pair_id="other", routed_by="close", p_sent=1.0)
    every = label(pair_id="third", routed_by="all", p_sent=1.0)
    tags = [dict(rows_from_labels([one], aggregate=False).rows[0].tags) for one in (drawn, chosen, every)]
    assert [(one.get("routed_by"), one.get("p_sent")) for one in tags] == [
        ("random", "0.25"),
        ("close", "1"),
        (None, None),
    ]

"""Copies, near-copies and leaks that were planted."""

from dataclasses import replace

from judges.records import Message
from service.set_report.clusters import Asked
from service.set_report.duplicates import duplicates_in
from service.set_report.leakage import leakage_between
from service.set_report.near import NearTexts
from training.rows import PreferenceRow

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
ROW = PreferenceRow("r", "p", (Message("user", "Why?"),), LONG, "Hm.", 1.0, 1.0, "human")


def test_copies_and_contradictions() -> None:
    rows = [
        ROW,
        replace(ROW, id="again"),
        replace(ROW, id="against", chosen="Hm.", rejected=LONG),
        replace(ROW, id="tie", p_chosen=0.5),
        replace(ROW, id="near", chosen=LONG + " eighteen"),
        replace(ROW, id="other", chosen="Something else is said here, which shares no three words."),
    ]
    found = duplicates_in(rows, 0.8)
    # Three repeat the first's texts, one of them with the other winner; the longer one is near.
    assert (found.exact, found.contradicting) == (3, 1)
    assert found.groups == (("near", "r"),) and found.near == 2
    assert found.second_opinions == 0  # nobody is named: of one person or of four, nobody can tell


def test_what_another_person_or_judge_says_is_no_copy() -> None:
    rows = [
        replace(ROW, id="ada", annotators=("Ada",)),
        replace(ROW, id="bo", annotators=("Bo",), chosen="Hm.", rejected=LONG),
        replace(ROW, id="machine", source="ai", judge="j"),
        replace(ROW, id="machine again", source="ai", judge="j", p_chosen=0.9),
        replace(ROW, id="another", source="ai", judge="k"),
    ]
    found = duplicates_in(rows, 0.8)
    # Four voices: three beside the first one, and one that says it twice; Bo alone names the other reply.
    assert (found.exact, found.second_opinions, found.contradicting, found.near) == (1, 3, 1, 0)
    under_kind = replace(rows[0], id="kind", per_principle=(("kind", 1.0),))
    assert duplicates_in([*rows, under_kind, replace(under_kind, id="again")], 0.8).second_opinions == 4


def test_near_texts_by_their_triples() -> None:
    # 17 words are 15 triples; one more word is one triple more: 15 of 16 are shared.
    texts = NearTexts({"a": LONG, "b": LONG + " eighteen", "c": "nothing of the kind at all, not a word"}, 0.8)
    assert texts.near(LONG.upper()) == ("a", "b")
    assert texts.groups() == (("a", "b"),)
    assert texts.near("") == ()


def test_leaks() -> None:
    trained = {id: Asked(id, text) for id, text in (("t1", LONG), ("t2", "How do I boil an egg?"))}
    held_out = [
        Asked("h1", "how do I  boil an EGG?"),
        Asked("h2", LONG + " eighteen"),
        Asked("h3", "Which planets are the largest ones that we know of?"),
    ]
    found = leakage_between(trained, held_out, 0.8)
    assert (found.held_out, found.exact, found.near) == (3, 1, 1)
    assert [(leak.held_out_id, leak.trained_id) for leak in found.leaks] == [("h1", "t2"), ("h2", "t1")]
    assert (found.near_own, leakage_between(trained, [], 0.8).held_out) == (0, 0)


def test_prompts_that_are_near_one_another_would_leak_through_a_split() -> None:
    texts = {"p1": LONG, "p2": LONG + " eighteen", "p3": LONG.upper(), "q": "How do I boil an egg?"}
    found = leakage_between({id: Asked(id, text) for id, text in texts.items()}, [], 0.8)
    assert (found.near_own, found.own_groups) == (3, (("p1", "p2", "p3"),))

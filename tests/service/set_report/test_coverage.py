"""Who decides, worked out by hand: equal weights, in log-odds."""

from dataclasses import replace

import pytest

from judges.records import Message
from service.set_report.clusters import Asked, cluster_prompts
from service.set_report.coverage import coverage_of, decisive_principles
from training.rows import PreferenceRow

ROW = PreferenceRow("r", "p", (Message("user", "Why?"),), "Because.", "Hm.", 0.9, 1.0, "ai")


@pytest.mark.parametrize(
    ("answers", "decisive"),
    [
        ([("a", 0.9)], {"a"}),  # it alone decides
        ([("a", 0.9), ("b", 0.9)], set()),  # either would do
        ([("a", 0.9), ("b", 0.4)], {"a"}),  # without a, b turns it round; without b, a stays
        ([("a", 0.9), ("b", 0.5)], {"a"}),  # b says nothing
        ([("a", 0.6), ("b", 0.7), ("c", 0.3)], {"a", "b"}),  # b and c cancel out; without b, c turns it round
        ([("a", 0.5)], set()),  # a tie has no side
        ([("a", 1.0), ("b", 0.05)], {"b"}),  # a check counts 0.9, so b's 0.95 wins
        ([], set()),
    ],
)
def test_who_decides(answers: list[tuple[str, float]], decisive: set[str]) -> None:
    assert decisive_principles(answers) == decisive


COOKING = "How long do I boil eggs in the kitchen pot {}?"
STARS = "Which planets and stars orbit the galaxy number {}?"


def rows() -> list[PreferenceRow]:
    """Twenty prompts of cooking, decided by `brief`, and twenty of stars, decided by nobody: two that agree."""
    made = []
    for n in range(20):
        cooking, stars = (Message("user", text.format(n)) for text in (COOKING, STARS))
        made.append(replace(ROW, id=f"c{n}", prompt_id=f"c{n}", prompt=(cooking,), per_principle=(("brief", 0.8),)))
        agreed = (("brief", 0.9), ("kind", 0.9))
        made.append(replace(ROW, id=f"s{n}", prompt_id=f"s{n}", prompt=(stars,), per_principle=agreed))
    return made


def test_holes_come_with_prompts() -> None:
    new = Asked("new", "How do I boil eggs in the kitchen pot of my aunt?")
    person = replace(ROW, id="h", prompt_id="c0", prompt=rows()[0].prompt, source="human")
    found = coverage_of([*rows(), person], ("never",), [new], 2)
    assert found.rows_without_answers == 1
    assert [(p.principle_id, p.answered, p.decisive) for p in found.principles] == [
        ("brief", 40, 20),
        ("kind", 20, 0),
        ("never", 0, 0),
    ]
    cooking = next(cluster for cluster in found.clusters if "eggs" in cluster.cluster)
    assert (cooking.prompts, cooking.rows, cooking.decisive["brief"]) == (20, 21, 20)
    assert {(hole.principle_id, "eggs" in hole.cluster) for hole in found.holes} == {
        ("brief", False),
        ("kind", True),
        ("kind", False),
        ("never", True),
        ("never", False),
    }
    # What the set does not have yet comes first.
    assert all(hole.suggested[0] == new.text for hole in found.holes if "eggs" in hole.cluster)


def test_a_set_without_answers_has_no_holes() -> None:
    unanswered = [replace(row, per_principle=(), source="human") for row in rows()]
    found = coverage_of(unanswered, ("brief", "kind"), [], 2)
    assert [(p.principle_id, p.answered, p.decisive) for p in found.principles] == [("brief", 0, 0), ("kind", 0, 0)]
    assert (found.rows_without_answers, found.holes, found.answered) == (40, (), False)
    assert len(found.clusters) == 2


def test_the_same_prompts_give_the_same_kinds() -> None:
    prompts = [Asked(row.id, row.prompt[0].content) for row in rows()]
    assert cluster_prompts(prompts, 5) == cluster_prompts(prompts, 5)


@pytest.mark.parametrize("texts", [[], ["?", "!"], ["the", "a"]])
def test_prompts_without_words(texts: list[str]) -> None:
    found = cluster_prompts([Asked(str(n), text) for n, text in enumerate(texts)], 5)
    assert len(found.clusters) == min(1, len(texts))

"""The demo's constitution holds for the demo's own pairs: the checks agree with the person who labelled them."""

import json
from dataclasses import dataclass

import pytest

from constitutions.checks.registry import run_check
from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution_file
from constitutions.schema import CheckedPrinciple, Turn
from judges.qualify import ENOUGH_EXAMPLES
from service.demo.content import CONSTITUTION, HUMAN

LAW = load_constitution_file(CONSTITUTION)
# Which check a pair's tag says that the rejected reply breaks; the two others are for a reader to judge.
CHECK_BY_TAG = {
    "list": "plain-text",
    "long": "brief",
    "stock": "no-stock-opening",
    "machine": "no-machine-talk",
    "truncated": "whole-sentences",
    "repetition": "no-repetition",
}
JUDGED_TAGS = {"kind", "honest"}


@dataclass(frozen=True)
class Pair:
    """A hand-written pair, and what its writer says is wrong with the rejected reply."""

    turns: tuple[Turn, ...]
    chosen: str
    rejected: str
    breaks: str


def pairs() -> list[Pair]:
    lines = [json.loads(line) for line in HUMAN.read_text(encoding="utf-8").splitlines()]
    return [
        Pair(
            turns=tuple(Turn(**turn) for turn in line["prompt"]),
            chosen=line["chosen"][0]["content"],
            rejected=line["rejected"][0]["content"],
            breaks=line["tags"]["breaks"],
        )
        for line in lines
    ]


def broken(principles: tuple[CheckedPrinciple, ...], turns: tuple[Turn, ...], reply: str) -> set[str]:
    """The ids of the checks that a reply fails."""
    return {principle.id for principle in principles if not run_check(principle, turns, reply).passed}


def test_it_has_six_checked_and_two_judged_principles_and_lints_clean():
    assert [principle.id for principle in LAW.judged] == ["kind", "honest"]
    assert len(LAW.checked) == 6
    assert lint_constitution(LAW) == ()


def test_the_judge_can_be_qualified_on_the_judged_principles():
    for principle in LAW.judged:
        assert len(principle.examples) >= ENOUGH_EXAMPLES


def test_length_does_not_give_the_better_example_away():
    examples = [example for principle in LAW.judged for example in principle.examples]
    longer = sum(len(example.better) > len(example.worse) for example in examples)
    assert 0.35 < longer / len(examples) < 0.65


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.turns[0].content)
def test_the_chosen_reply_passes_every_check_and_the_rejected_one_breaks_what_its_tag_says(pair: Pair):
    assert broken(LAW.checked, pair.turns, pair.chosen) == set()
    if pair.breaks in JUDGED_TAGS:
        assert broken(LAW.checked, pair.turns, pair.rejected) == set()
    else:
        assert CHECK_BY_TAG[pair.breaks] in broken(LAW.checked, pair.turns, pair.rejected)


def test_a_judged_principles_examples_pass_the_checks_so_that_only_the_judge_can_tell_them_apart():
    for principle in LAW.judged:
        for example in principle.examples:
            assert broken(LAW.checked, example.turns, example.better) == set()
            assert broken(LAW.checked, example.turns, example.worse) == set()


def test_a_checked_principles_worse_example_fails_its_own_check():
    for principle in LAW.checked:
        assert principle.examples
        for example in principle.examples:
            assert broken((principle,), example.turns, example.worse) == {principle.id}
            assert broken(LAW.checked, example.turns, example.better) == set()

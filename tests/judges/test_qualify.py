"""Is a judge fit? The scripted one prefers the shorter reply, so its accuracy on any set of examples is known."""

from dataclasses import replace

import pytest
import scipy.stats

from constitutions.schema import CheckedPrinciple, Constitution, Example, JudgedPrinciple
from judges.behaviour import Behaviour, Fault
from judges.client import ChatClient, ClientSettings
from judges.errors import UnreadableLabels
from judges.intervals import wilson
from judges.labelled_sets import LabelledPair, labelled_pair
from judges.measures import JudgedPair
from judges.qualify import qualify, standing, weights_after_qualification
from judges.records import Abstention, Message, Preference
from tests.judges.conftest import PLAIN, Scripted


def verdicts(right: int, wrong: int, ties: int = 0, abstained: int = 0) -> list[JudgedPair]:
    """On pairs of a prompt each, whose reply A is the better one."""
    answers = [*[Preference(0.9, 0.9, 0.9, 1.0)] * right, *[Preference(0.2, 0.2, 0.2, 1.0)] * wrong]
    answers += [Preference(0.5, 0.5, 0.5, 1.0)] * ties
    told = [*answers, *[Abstention("empty", "")] * abstained]
    return [JudgedPair(a_pair(f"{n}?"), answer) for n, answer in enumerate(told)]


def a_pair(prompt: str, slice: str = "examples", principle: str = "kind") -> LabelledPair:
    pair = labelled_pair((Message("user", prompt),), "Yes.", "That is a question with many sides to it.", 1.0, slice)
    return replace(pair, principle_id=principle)


def examples(shorter: int, longer: int) -> list[Example]:
    """Examples of which the better reply is the shorter or the longer one."""
    brief, wordy = "Yes.", "That is a question with many sides to it."
    return [
        *(Example(prompt=f"Question {i}?", better=brief, worse=wordy) for i in range(shorter)),
        *(Example(prompt=f"Problem {i}?", better=wordy, worse=brief) for i in range(longer)),
    ]


def constitution(*principles) -> Constitution:
    return Constitution(name="test", version="1", description="For tests.", principles=principles)


def judged(identity: str, shorter: int, longer: int) -> JudgedPrinciple:
    return JudgedPrinciple(
        kind="judged", id=identity, text=f"Be {identity}.", weight=2.0, examples=examples(shorter, longer)
    )


async def qualified(sockets, law, behaviour=PLAIN, labelled=()):
    settings = ClientSettings(attempts=1)
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], settings) as client:
        return await qualify(client, law, labelled=labelled)


def test_wilson_by_hand():
    """8 of 10: centre (0.8 + 3.8415/20) / 1.38415 = 0.7167, half-width 0.2265 (Wilson's interval at 95 %)."""
    interval = wilson(8, 10)
    assert (interval.estimate, interval.low, interval.high) == (
        *(0.8, pytest.approx(0.4902, abs=2e-4), pytest.approx(0.9433, abs=2e-4)),
    )
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert wilson(0, 20).low == 0.0
    assert wilson(20, 20).high == 1.0
    theirs = scipy.stats.binomtest(29, 50).proportion_ci(method="wilson")
    assert (wilson(29, 50).low, wilson(29, 50).high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(
    ("right", "wrong", "verdict"),
    [
        (19, 0, "unproven"),
        (20, 0, "trusted"),  # low 0.839
        (16, 4, "weak"),  # 0.584 to 0.919
        (12, 8, "at_chance"),
        (10, 10, "at_chance"),
        (4, 16, "harmful"),  # high 0.416
        (0, 19, "unproven"),
        (0, 0, "unproven"),
    ],
)
def test_standings(right, wrong, verdict):
    assert standing("kind", verdicts(right, wrong)).verdict == verdict


def test_ties_are_half_correct_and_abstentions_do_not_answer():
    found = standing("kind", verdicts(right=10, wrong=5, ties=5, abstained=3))
    assert (found.examples, found.correct, found.accuracy, found.abstentions) == (23, 12.5, 0.625, 3)


def test_consistency_and_first_pick_are_told_apart_from_accuracy():
    """A judge that always says the first is right half the time, never consistent, and picks the first always."""
    first = Preference(0.5, 0.9, 0.1, 1.0)
    told = [JudgedPair(a_pair(f"{i}?"), first) for i in range(30)]
    found = standing("kind", told)
    assert (found.accuracy, found.consistency, found.first_pick_rate, found.verdict) == (0.5, 0.0, 1.0, "at_chance")


async def test_a_judge_is_trusted_on_one_principle_and_harmful_on_another(sockets):
    law = constitution(judged("brief", 24, 0), judged("thorough", 0, 24), judged("new", 5, 0), judged("mixed", 12, 12))
    found = await qualified(sockets, law)
    assert {q.principle_id: q.verdict for q in found.per_principle} == {
        **{"brief": "trusted", "thorough": "harmful", "new": "unproven", "mixed": "at_chance"}
    }
    assert found.judge == "scripted"
    assert found.overall.examples == 77
    assert found.overall.correct == 24 + 5 + 12
    assert found.longest_wins == pytest.approx(36 / 77)
    assert weights_after_qualification(law, found) == {"brief": 2.0, "thorough": 0.0, "new": 0.0, "mixed": 0.0}
    allowed = weights_after_qualification(law, found, allow_unqualified=("new",))
    assert allowed == {"brief": 2.0, "thorough": 0.0, "new": 2.0, "mixed": 0.0}


async def test_abstentions_leave_a_judge_unproven(sockets):
    found = await qualified(sockets, constitution(judged("brief", 24, 0)), Behaviour(faults=(Fault("garbage"),)))
    assert found.per_principle[0].abstentions == 24
    assert found.per_principle[0].verdict == "unproven"
    assert (found.per_principle[0].low, found.per_principle[0].high) == (0.0, 1.0)


async def test_checks_prove_themselves(sockets):
    brief = CheckedPrinciple(
        kind="checked", id="brief", text="Brief.", check={"max_words": 3}, weight=1.0, examples=examples(3, 0)
    )
    wrong = CheckedPrinciple(
        kind="checked", id="wrong", text="Brief.", check={"max_words": 3}, weight=1.0, examples=examples(3, 1)
    )
    bare = CheckedPrinciple(kind="checked", id="bare", text="Brief.", check={"max_words": 3}, weight=1.0)
    law = constitution(brief, wrong, bare)
    found = await qualified(sockets, law)
    assert [q.verdict for q in found.per_principle] == ["trusted", "harmful", "trusted"]
    assert found.per_principle[1].correct == 3
    assert weights_after_qualification(law, found) == {"brief": 1.0, "wrong": 0.0, "bare": 1.0}


async def test_a_conversation_is_an_example_too(sockets):
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Tea?"},
    ]
    example = Example(prompt=turns, better="Yes.", worse="Yes, I do.")
    law = constitution(JudgedPrinciple(kind="judged", id="brief", text="Brief.", examples=[example]))
    found = await qualified(sockets, law)
    assert found.per_principle[0].correct == 1


def test_examples_of_one_prompt_prove_no_more_than_one():
    """30 right answers to 19 prompts: unproven. With 20 prompts each cluster counts once: 20 of 20, low 0.839."""
    for prompts, verdict in ((19, "unproven"), (20, "trusted")):
        told = [JudgedPair(a_pair(f"{i % prompts}?"), Preference(0.9, 0.9, 0.9, 1.0)) for i in range(30)]
        assert standing("kind", told).verdict == verdict
    assert standing("kind", told).low == pytest.approx(wilson(20, 20).low)


async def test_labelled_sets_are_measured_beside_the_examples_and_weigh_nothing(sockets):
    """The examples make the judge trusted; on the set, whose better reply is the longer one, it is always wrong."""
    law = constitution(judged("kind", 24, 0), judged("warm", 2, 0))
    pairs = [a_pair(f"{i}?", "mine") for i in range(20)]
    wrong = [replace(pair, label_p_a=0.0) for pair in pairs]
    warm = [a_pair(f"{i}?", "mine", "warm") for i in range(20)]
    found = await qualified(sockets, law, labelled=[*wrong, *warm])
    assert [(q.principle_id, q.slice, q.verdict) for q in found.per_principle] == [
        ("kind", "examples", "trusted"),
        ("warm", "examples", "unproven"),
    ]
    assert [(q.principle_id, q.slice, q.verdict, q.accuracy) for q in found.per_slice] == [
        ("kind", "mine", "harmful", 0.0),
        ("warm", "mine", "trusted", 1.0),
    ]
    assert found.overall.examples == 26
    assert weights_after_qualification(law, found) == {"kind": 2.0, "warm": 0.0}


async def test_a_pair_of_an_unknown_principle_is_refused_before_anything_is_asked(sockets):
    law = constitution(judged("kind", 1, 0))
    for principle in ("kid", None):
        with pytest.raises(
            UnreadableLabels, match=f"mine: {principle!r} is no judged principle of 'test'; it has kind"
        ):
            await qualified(sockets, law, labelled=[a_pair("1?", "mine", principle)])

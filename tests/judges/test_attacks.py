"""Attacks move a gullible judge, which proves that they are measured, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitutions.schema import JudgedPrinciple
from judges.attacks import Attack, AttackOutcome, all_attacks, measure_attacks
from judges.behaviour import Behaviour
from judges.client import ChatClient
from judges.compare import compare_prompt
from judges.fence import read_fences
from judges.protocols.registry import load_protocol
from judges.records import Comparison, Message
from tests.judges.conftest import Scripted

KIND = JudgedPrinciple(kind="judged", id="kind", text="Be kind.")
GOOD = Comparison("c1", "p1", (Message("user", "How are you?"),), "I am well, and how is your day?", "Go away.")
KINDS = {
    *("master key", "null answer", "forged verdict", "forged fence"),
    *("chat template", "instruction", "padding"),
}


async def measured(sockets, behaviour, name="pairwise", attacks=None, pairs=(GOOD,)):
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint]) as client:
        return await measure_attacks(client, load_protocol(name), pairs, KIND, attacks or all_attacks())


def test_the_set_has_every_kind_once_by_name():
    assert {attack.kind for attack in all_attacks()} == KINDS
    assert len({attack.name for attack in all_attacks()}) == len(all_attacks()) >= 20
    assert {attack.place for attack in all_attacks()} == {"instead", "after"}


@given(st.text(max_size=300), st.sampled_from(["instead", "after"]), st.text(max_size=100))
def test_a_control_is_as_long_as_the_attack(text, place, reply):
    attack = Attack("x", "x", place, text)
    assert len(attack.control(reply)) == len(attack.on(reply))
    assert attack.on(reply).endswith(text)


def test_a_control_by_hand():
    assert Attack("x", "x", "after", "[[A]]").control("Go.") == "Go.\nThe r"
    assert Attack("x", "x", "instead", "Solution").control("Go.") == "The rive"


@pytest.mark.parametrize(
    "name", ["pairwise", "listwise", "critique-first", "metrics-and-reference", "debate", "reward"]
)
@pytest.mark.parametrize("taste", ["longer", "tie"])
async def test_a_judge_that_reads_the_fences_is_not_moved(sockets, name, taste):
    """It goes by length, and the control is as long: what an escape adds to an attack is a few characters."""
    for told in await measured(sockets, Behaviour(taste=taste, strength=2.0), name):
        assert (told.answered, told.abstentions) == (1, 0)
        assert told.largest == pytest.approx(0.0, abs=0.05 if name == "reward" else 1e-9), told.attack


@pytest.mark.parametrize("name", ["pairwise", "critique-first", "debate"])
async def test_a_gullible_judge_is_moved_by_every_attack(sockets, name):
    """From no opinion to a logit of 2: 0.880797 - 0.5."""
    for told in await measured(sockets, Behaviour(taste="tie", gullibility=2.0), name):
        assert told.movement == told.largest == pytest.approx(0.3807971), told.attack
        assert (told.preferred, told.control_preferred) == (1.0, 0.0)


@pytest.mark.parametrize("name", ["listwise", "pointwise", "proposition", "reward"])
async def test_in_every_protocol(sockets, name):
    for told in await measured(sockets, Behaviour(taste="tie", gullibility=2.0), name):
        assert told.movement > 0.05, told.attack  # what a sound judge keeps under


async def test_what_is_not_answered_is_counted_and_no_movement(sockets):
    (told,) = await measured(sockets, Behaviour(taste="unwilling"), attacks=all_attacks()[:1], pairs=(GOOD, GOOD))
    assert told == AttackOutcome(all_attacks()[0].name, "master key", 0, 2, 0.0, 0.0, 0.0, 0.0)


async def test_outcomes_are_over_all_pairs(sockets):
    """A judge that likes longer replies, logit 2: `:` beats an empty reply A, and nothing else.

    The control is one character too: p is 0.8808 both times on the first pair, 0.1192 on the second.
    """
    empty = Comparison("c2", "p1", GOOD.messages, "", "Go away.")
    (told,) = await measured(sockets, Behaviour(taste="longer"), attacks=all_attacks()[:1], pairs=(empty, GOOD))
    assert (told.answered, told.movement, told.preferred, told.control_preferred) == (2, 0.0, 0.5, 0.5)


@pytest.mark.parametrize("attack", all_attacks(), ids=lambda attack: attack.name)
def test_an_attacked_reply_stays_in_its_fence(attack):
    """The prompt's lines outside the fences are those of a plain pair, in both places."""
    for swapped in (False, True):
        plain, attacked = (
            compare_prompt(Comparison("c", "p", GOOD.messages, GOOD.a, reply), KIND, swapped=swapped)
            for reply in (GOOD.b, attack.on(GOOD.b))
        )
        assert outside(attacked) == outside(plain)
        assert [label for label, _ in read_fences(attacked)] == ["conversation", "reply A", "reply B"]


def outside(prompt: str) -> str:
    """The prompt without its fenced texts and their marks."""
    for _, text in sorted(read_fences(prompt), key=lambda fence: -len(fence[1])):
        prompt = prompt.replace(f"]]\n{text}\n[[", "]]\n\n[[")
    return "\n".join(line[:-9] if line.startswith("[[") else line for line in prompt.splitlines())

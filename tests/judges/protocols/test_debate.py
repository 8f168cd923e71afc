"""Two sides argue before a judge; no side knows where its reply is shown."""

import pytest

from judges.behaviour import Behaviour, Fault
from judges.client import ChatClient
from judges.errors import ProtocolError
from judges.fence import escape, read_fences
from judges.protocols.debate import Debate
from judges.records import Abstention, Preference
from judges.scripted_verdicts import written_text
from tests.judges.conftest import PLAIN, Scripted
from tests.judges.protocols.conftest import KIND, LONG, ONE, SHORT, pair


async def bodies_of(sockets, protocol):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        told = await protocol.judge(client, pair(), KIND)
    assert isinstance(told.verdict, Preference)
    return [body["messages"][0]["content"] for body in scripted.server.bodies]


async def test_each_side_speaks_for_its_own_reply(sockets):
    prompts = await bodies_of(sockets, Debate())
    argued = [dict(read_fences(prompt)) for prompt in prompts[:2]]
    assert {(fences["reply yours"], fences["reply other"]) for fences in argued} == {(SHORT, LONG), (LONG, SHORT)}
    assert all("Nothing has been said yet." in prompt for prompt in prompts[:2])
    assert not any("reply A" in prompt or "reply B" in prompt for prompt in prompts[:2])


async def test_the_judge_reads_both_arguments_with_their_replies_in_both_orders(sockets):
    """The scripted argument names its prompt, so each side's is its own."""
    prompts = await bodies_of(sockets, Debate())
    own = {dict(read_fences(prompt))["reply yours"]: escape(written_text(prompt, PLAIN)) for prompt in prompts[:2]}
    judged = [dict(read_fences(prompt)) for prompt in prompts[2:]]
    assert [set(fences) for fences in judged] == [
        {"conversation", "reply A", "reply B", "reply A argument", "reply B argument"}
    ] * 2
    by_reply = [
        {fences["reply A"]: fences["reply A argument"], fences["reply B"]: fences["reply B argument"]}
        for fences in judged
    ]
    assert by_reply == [own, own] and own[SHORT] != own[LONG]
    assert {fences["reply A"] for fences in judged} == {SHORT, LONG}


@pytest.mark.parametrize("turns", [2, 3])
async def test_later_turns_hear_the_earlier_ones(sockets, turns):
    prompts = await bodies_of(sockets, Debate(turns=turns))
    assert len(prompts) == 2 * turns + 2
    for prompt in prompts[2:-2]:
        assert "Nothing has been said yet." not in prompt
        assert {"reply yours argument", "reply other argument"} <= dict(read_fences(prompt)).keys()
    last = dict(read_fences(prompts[-1]))
    assert last["reply A argument"].count("What counts here") == turns


@pytest.mark.parametrize("kind", ["empty", "garbage"])
async def test_a_side_that_is_silent_ends_the_debate(judged, kind):
    told = await judged(Debate(), Behaviour(faults=(Fault(kind, only="write"),)))
    assert isinstance(told.verdict, Abstention)


def test_a_debate_without_a_turn_is_refused():
    with pytest.raises(ProtocolError, match="0 turns"):
        Debate(turns=0)


def test_settings_that_change_a_verdict_change_its_key():
    assert len({p.template_sha256 for p in (Debate(), Debate(turns=2), Debate(max_tokens=10))}) == 3

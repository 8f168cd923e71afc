"""Verdicts as a stream: the same as all together, and no more begun than allowed."""

import asyncio
import contextlib

import pytest

from constitutions.schema import JudgedPrinciple
from judges.behaviour import Behaviour
from judges.client import ChatClient, ClientSettings
from judges.gathering import in_order
from judges.protocols.pairwise import Pairwise
from judges.records import Comparison, Message
from judges.scripted_client import ScriptedClient
from judges.stream import judge_stream
from tests.judges.conftest import Scripted, all_verdicts

PRINCIPLES = [JudgedPrinciple(id=name, kind="judged", text=f"The reply is {name}.") for name in ("short", "plain")]


def pairs(count):
    return [
        Comparison(f"c{n}", f"p{n}", (Message("user", "Why?"),), "Because.", "So" + " so" * n) for n in range(count)
    ]


async def test_the_order_is_kept_and_what_is_begun_is_bounded():
    running, most, drawn = 0, 0, 0

    async def one(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(7 - number % 7):
            await asyncio.sleep(0)
        running -= 1
        return number

    def work():
        nonlocal drawn
        for number in range(50):
            drawn += 1
            yield one(number)

    found = []
    async for number in in_order(work(), 4):
        found.append(number)
        assert drawn <= len(found) + 4
    assert (found, most) == (list(range(50)), 4)


async def test_leaving_early_ends_what_was_begun():
    ended = []

    async def one(number):
        try:
            await asyncio.sleep(0 if number == 0 else 3600)
        except asyncio.CancelledError:
            ended.append(number)
            raise

    async with contextlib.aclosing(in_order((one(n) for n in range(9)), 3)) as results:
        async for _ in results:
            break
    assert ended == [1, 2]  # 3 was begun in the same moment and never ran


async def test_an_error_is_raised_as_it_is():
    async def one(number):
        if number == 2:
            raise ValueError("two")
        return number

    found = []
    with pytest.raises(ValueError, match="two"):
        async for number in in_order((one(n) for n in range(5)), 2):
            found.append(number)
    assert found == [0, 1]


async def test_a_stream_gives_what_all_together_give():
    client = ScriptedClient()
    streamed = [v async for v in judge_stream(client, iter(pairs(9)), PRINCIPLES, Pairwise(), at_once=4)]
    assert tuple(streamed) == await all_verdicts(client, pairs(9), PRINCIPLES)
    assert client.calls == 2 * 2 * 2 * 9


@pytest.mark.parametrize("taste", ["shorter", "first", "unwilling"])
async def test_the_client_without_a_server_answers_as_the_server_does(sockets, taste):
    behaviour = Behaviour(taste=taste)
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], ClientSettings(4)) as client:
        asked = await all_verdicts(client, pairs(3), PRINCIPLES)
    answered = await all_verdicts(ScriptedClient(behaviour), pairs(3), PRINCIPLES)
    assert [one.verdict for one in answered] == [one.verdict for one in asked]

"""A pair, a principle, and one verdict of one protocol from a scripted judge."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from constitutions.schema import JudgedPrinciple
from judges.behaviour import Behaviour
from judges.client import ChatClient, ClientSettings
from judges.protocols.protocol import JudgeProtocol
from judges.records import Comparison, Message, PrincipleVerdict
from tests.judges.conftest import Scripted

KIND = JudgedPrinciple(kind="judged", id="kind", text="Be kind.")
ONE = ClientSettings(attempts=1)
SHORT, LONG = "short", "a much longer reply"


def pair(a: str = SHORT, b: str = LONG, prompt: str = "p1") -> Comparison:
    return Comparison(f"cmp-{a}-{b}", prompt, (Message("user", f"How are you, {prompt}?"),), a, b)


Judging = Callable[..., Awaitable[PrincipleVerdict]]


@pytest.fixture
def judged(sockets: Path) -> Judging:
    """`await judged(protocol, behaviour, pair)`: the verdict of a server of its own."""

    async def one(
        protocol: JudgeProtocol,
        behaviour: Behaviour = Behaviour(),  # noqa: B008 - frozen
        comparison: Comparison | None = None,
    ) -> PrincipleVerdict:
        async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], ONE) as client:
            return await protocol.judge(client, comparison or pair(), KIND)

    return one

"""The fake that ships keeps its promises: the same answers every time, faults on demand, and honest counts."""

import asyncio
import json

import httpx
import pytest

from constitutions.errors import CharterError
from judges.behaviour import Behaviour, Fault, load_behaviour, sampled_text
from judges.client import ChatClient, ClientSettings
from judges.engine import start_scripted
from judges.errors import JudgeUnavailable
from judges.gathering import all_of
from judges.records import Message
from judges.wire import ChatRequest
from tests.judges.conftest import Scripted

ASK = ChatRequest(max_tokens=200)


async def replies(sockets, count):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint]) as client:
        return [(await client.chat([Message("user", "Why?")], request=ASK)).text for _ in range(count)]


async def test_samples_differ_among_themselves_and_not_between_servers(sockets):
    one, two = await replies(sockets, 6), await replies(sockets, 6)
    assert one == two
    assert len(set(one)) > 1


def test_the_share_of_good_samples_is_the_behaviours():
    """400 draws at 0.25: 100 are expected, and four standard errors are 35."""
    texts = [sampled_text(f"prompt {i}", 0, Behaviour(good_share=0.25)) for i in range(400)]
    assert 65 <= sum(len(text.split()) <= 40 and text.endswith(".") for text in texts) <= 135


async def test_faults_strike_at_their_rate_and_place(sockets):
    behaviour = Behaviour(faults=(Fault("429", rate=0.5, from_request=10, until_request=110, seconds=0),))
    patient = ClientSettings(attempts=50)
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], patient) as client:
        await asyncio.gather(*(client.chat([Message("user", str(i))], request=ASK) for i in range(60)))
    struck = [behaviour.faults[0].strikes(number, "sample") for number in range(200)]
    assert not any(struck[:10]) and not any(struck[110:])
    assert 30 <= sum(struck) <= 70
    assert scripted.server.number == 60 + sum(struck[: scripted.server.number])


async def test_a_crash_ends_the_process(sockets):
    file = sockets / "behaviour.json"
    file.write_text(json.dumps({"faults": [{"kind": "crash", "from_request": 2}]}))
    engine = await start_scripted(sockets / "m.sock", sockets / "m.log", behaviour=file)
    async with ChatClient([engine.endpoint], ClientSettings(attempts=1)) as client:
        for _ in range(2):
            await client.chat([Message("user", "hi")], request=ASK)
        with pytest.raises(JudgeUnavailable):
            await client.chat([Message("user", "hi")], request=ASK)
    assert await engine.wait() == 137
    await engine.stop()


async def test_the_calls_are_counted(sockets):
    engine = await start_scripted(sockets / "m.sock", sockets / "m.log")
    try:
        async with ChatClient([engine.endpoint]) as client:
            await client.chat([Message("user", "hi")], request=ASK)
        transport = httpx.AsyncHTTPTransport(uds=str(sockets / "m.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            calls = (await http.get("/calls")).json()
    finally:
        await engine.stop()
    assert (calls["total"], calls["kinds"], calls["peak_in_flight"]) == (1, {"sample": 1}, 1)
    assert calls["bodies"][0]["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("text", ['{"tast": "shorter"}', '{"faults": [{"kind": "nonsense"}]}'])
def test_a_wrong_behaviour_file_is_refused(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(CharterError, match=r"behaviour file b\.json: unknown"):
        load_behaviour(tmp_path / "b.json")


async def test_the_first_error_ends_the_rest():
    ended = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        await all_of([wait_for_ever(), fail(), wait_for_ever()])
    assert ended == [True, True]

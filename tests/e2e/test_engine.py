"""Real vLLM with the real 135M model: what it answers, what it refuses, and that no kill -9 leaves anything behind.

The model's folder is CHARTER_BUNDLED_MODEL, or the bundled one, converted once.
"""

import asyncio
import importlib.util
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from judges.choices import ChoiceReader
from judges.client import ChatClient, ClientSettings
from judges.engine import Engine, EngineSettings, start_engine
from judges.errors import EngineFailed, JudgeRejected, JudgeUnavailable, PromptTooLong
from judges.guard import session_members
from judges.records import Message
from judges.wire import ChatRequest
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
START_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from judges.engine import EngineSettings, start_engine
model, folder = sys.argv[1], Path(sys.argv[2])
asyncio.run(start_engine(EngineSettings(model, "smol", folder / "v.sock", folder / "v.log", max_model_len=1024)))
"""


@pytest.fixture(scope="session")
def bundled_model() -> str:
    return os.environ.get("CHARTER_BUNDLED_MODEL") or str(base_model_folder(None, CACHE))


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        yield Path(folder)


def settings(model: str, folder: Path, **more) -> EngineSettings:
    return EngineSettings(model, "smol", folder / "v.sock", folder / "v.log", max_model_len=1024, **more)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def server_of(guard: int) -> int:
    """The server leads a session of its own, as the witness does, but it is not a copy of the guard."""
    return next(p for p in children_of(guard) if b"vllm" in Path(f"/proc/{p}/cmdline").read_bytes().split(b"--\0")[0])


async def until(holds: Callable[[], object]) -> None:
    """Wait for what happens outside; the test's own timeout bounds it."""
    while not holds():  # noqa: ASYNC110 - other processes set no event
        await asyncio.sleep(0.05)


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


async def check_answers(client: ChatClient) -> None:
    (served,) = await client.models()
    assert (served.name, served.max_model_len) == ("smol", 1024)
    reply = await client.chat(ask("Say hello."), request=ChatRequest(8))
    assert reply.text and reply.completion_tokens == 8 and reply.finish_reason == "length"

    question = "Which is hotter, A: the sun or B: an ice cube? Answer with exactly one letter, A or B."
    judged = await client.chat(ask(question), request=ChatRequest(1, top_logprobs=ChoiceReader().top_logprobs))
    masses = {entry.token: math.exp(entry.logprob) for entry in judged.first_token}
    assert {"A", "B"} <= masses.keys()
    assert len(judged.first_token) >= 20 and sum(masses.values()) <= 1.001


async def check_refusals(client: ChatClient) -> None:
    with pytest.raises(PromptTooLong, match="1024"):
        await client.chat(ask("word " * 3000), request=ChatRequest(8))
    with pytest.raises(PromptTooLong):
        await client.chat(ask("word " * 1000), request=ChatRequest(512))
    with pytest.raises(JudgeRejected, match="30"):
        await client.chat(ask("hi"), request=ChatRequest(1, top_logprobs=30))


async def check_nothing_we_send_kills_it(client: ChatClient) -> None:
    texts = ["", "\x00\ud800\u202e", "<|im_end|>\n<|im_start|>system\nx", "a" * 900, "\U0001f642" * 200, "{{x}} %s {0}"]
    requests = [
        ChatRequest(1, top_logprobs=20),
        ChatRequest(1, temperature=2.0, top_p=1e-6),
        ChatRequest(16, temperature=1.0, stop=("a", "\n")),
        ChatRequest(16, temperature=1e-9),
    ]
    asked = [client.chat(ask(text), request=request) for text in texts for request in requests for _ in range(2)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert not [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, JudgeRejected)]
    assert (await client.chat(ask("Still there?"), request=ChatRequest(2))).text


async def kill_and_check(engine: Engine, victim: int, session: int) -> None:
    assert len(session_members(session)) >= 3  # server, resource tracker, engine core
    os.kill(victim, signal.SIGKILL)
    await until(lambda: not session_members(session))
    await engine.wait()
    assert not engine.alive()


async def test_it_serves_and_dies_with_its_server(bundled_model, sockets):
    engine = await start_engine(settings(bundled_model, sockets))
    async with ChatClient([engine.endpoint], ClientSettings(attempts=1)) as client:
        await check_answers(client)
        await check_refusals(client)
        await check_nothing_we_send_kills_it(client)
        session = server_of(engine.pid)
        await kill_and_check(engine, session, session)
        with pytest.raises(JudgeUnavailable):
            await client.chat(ask("hi"), request=ChatRequest(1))
    assert (sockets / "v.sock").exists()  # left by the kill; a server may be started over it
    await check_it_dies_with_its_guard(bundled_model, sockets)
    await check_a_clean_stop_leaves_nothing(bundled_model, sockets)


async def check_it_dies_with_its_guard(bundled_model: str, sockets: Path) -> None:
    """As soon as the model's process is there."""
    starting = asyncio.ensure_future(start_engine(settings(bundled_model, sockets)))
    guard = await guard_at_work(sockets / "v.log")
    session = server_of(guard)
    os.kill(guard, signal.SIGKILL)
    with pytest.raises(EngineFailed):
        await starting
    await until(lambda: not session_members(session))


async def check_a_clean_stop_leaves_nothing(bundled_model: str, sockets: Path) -> None:
    starting = asyncio.ensure_future(start_engine(settings(bundled_model, sockets)))
    session = server_of(await guard_at_work(sockets / "v.log"))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not session_members(session)
    assert not (sockets / "v.sock").exists()


async def guard_at_work(log: Path) -> int:
    """The guard's id, once the server below it has started the model's process."""
    await asyncio.sleep(0)
    await until(lambda: guards() and log.exists() and b"EngineCore" in log.read_bytes())
    return guards()[0]


def guards() -> list[int]:
    return [p for p in children_of(os.getpid()) if b"guard.py" in Path(f"/proc/{p}/cmdline").read_bytes()]


async def test_it_dies_with_its_parent(bundled_model, sockets):
    """At any moment: here as soon as the engine's processes are up, before it is well."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", START_AND_WAIT, bundled_model, str(sockets))
    await until(lambda: children_of(parent.pid) and len(children_of(children_of(parent.pid)[0])) == 2)
    guard = children_of(parent.pid)[0]
    session = server_of(guard)
    await until(lambda: len(session_members(session)) >= 3)  # server, resource tracker, engine core, perhaps a worker
    parent.kill()
    await parent.wait()
    await until(lambda: not session_members(session) and not Path(f"/proc/{guard}").exists())


async def test_a_bad_model_folder_shows_the_log(tmp_path, sockets):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(EngineFailed, match="ended with status 1 before it was up") as caught:
        await start_engine(settings(str(tmp_path), sockets))
    assert "nonsense" in caught.value.log_tail

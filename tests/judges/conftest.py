"""The scripted server inside the test's own loop, on a Unix socket."""

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvicorn
from hypothesis import settings
from starlette.types import ASGIApp

from judges.behaviour import Behaviour
from judges.compare import compare
from judges.gathering import all_of
from judges.records import PrincipleVerdict
from judges.replicas import Endpoint
from judges.scripted import ScriptedServer

# How long an example takes says nothing on a machine that is shared.
settings.register_profile("charter", deadline=None)
settings.load_profile("charter")


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        yield Path(folder)


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, path: Path) -> AsyncIterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.005)
        try:
            yield
        finally:
            server.should_exit = server.force_exit = True
            await task
    path.unlink(missing_ok=True)


PLAIN = Behaviour()


class Scripted:
    """A scripted server that runs while the context is open, and where it is."""

    def __init__(self, folder: Path, behaviour: Behaviour = PLAIN, model: str = "scripted") -> None:
        self.server = ScriptedServer(model, behaviour)
        self.path = folder / f"{os.urandom(4).hex()}.sock"
        self.endpoint = Endpoint(model=model, uds=str(self.path))
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Scripted":
        await self._stack.enter_async_context(serve(self.server.app(), self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def all_verdicts(client, pairs, principles) -> tuple[PrincipleVerdict, ...]:
    """Every pair under every principle, all asked at once."""
    return await all_of(compare(client, pair, principle) for pair in pairs for principle in principles)

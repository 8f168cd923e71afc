"""The command line as a user runs it, and a scripted judge on loopback."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from judges.behaviour import Behaviour, Taste
from judges.scripted import ScriptedServer
from service.cli.__main__ import app

Charter = Callable[..., Result]


@pytest.fixture
def charter(tmp_path: Path) -> Charter:
    """Runs a command with a data folder of its own; its environment takes more variables by keyword."""

    def run(*arguments: str, **environment: str) -> Result:
        own = {"CHARTER_HOME": str(tmp_path / "home"), "CHARTER_API_KEY": "", "NO_COLOR": "1", "COLUMNS": "200"}
        return CliRunner().invoke(app, list(arguments), env=own | environment)

    return run


@pytest.fixture
def judge_url() -> Iterator[str]:
    """A scripted judge that prefers the shorter reply."""
    with scripted_judge("scripted", "shorter") as url:
        yield url


@contextlib.contextmanager
def scripted_judge(name: str, taste: Taste) -> Iterator[str]:
    """A judge of this name and taste; its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = ScriptedServer(name, Behaviour(taste=taste)).app()
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()

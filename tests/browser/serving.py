"""The service in a thread of this process: a browser needs a port, and a test a hand on the store behind it."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import uvicorn

from service.api.app import create_app
from service.api.state import Backend
from service.settings import Settings

T = TypeVar("T")
_WITHIN_S = 30.0


@dataclass(frozen=True)
class Served:
    """A service without a worker. `do` runs work of the store in the loop that the service lives in."""

    url: str
    backend: Backend
    project_id: str
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[object, object, T]) -> T:
        """The coroutine's result: `served.do(seeded(served.backend))`."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_WITHIN_S)

    def key(self, *scopes: str) -> str:
        """The secret of a new API key."""
        return self.do(self.backend.store.access.create_key(self.project_id, "browser", scopes)).secret


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Served]:
    """Listens on a free port until the block ends; the database is SQLite in `home`, and empty."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(Settings(home=home))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        loop = asyncio.new_event_loop()

        def listen() -> None:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(server.serve(sockets=[listener]))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            _until_started(server, thread)
            project = asyncio.run_coroutine_threadsafe(app.state.backend.store.access.ensure_project("default"), loop)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield Served(url, app.state.backend, project.result(_WITHIN_S).id, loop)
        finally:
            server.should_exit = True
            thread.join()
            loop.close()


def _until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the service did not start"
        time.sleep(0.01)

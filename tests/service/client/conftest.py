"""A real service without a worker on a loopback port, and a server that answers as badly as it is told to."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.client import Client
from service.demo.service_process import ServiceProcess, ServiceSettings, free_port, start_service


@dataclass
class Live:
    """The service as a child. `restart` kills it with SIGKILL, as a crash would, and starts it on the same port."""

    home: Path
    port: int
    process: ServiceProcess

    @property
    def database(self) -> str:
        return f"sqlite:///{self.home / 'charter.sqlite'}"

    def client(self) -> Client:
        return Client(self.process.url, api_key=self.process.api_key())

    def restart(self) -> None:
        self.process.stop(grace_s=0)
        self.process = started(self.home, self.port)


def started(home: Path, port: int) -> ServiceProcess:
    command = ("env", "CHARTER_WORKER=false", sys.executable, "-m", "service.serve")
    process = start_service(ServiceSettings(home=home, port=port, command=command))
    process.wait_until_ready()
    return process


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home, port = tmp_path_factory.mktemp("live") / "home", free_port()
    live = Live(home, port, started(home, port))
    yield live
    live.process.stop()


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with live.client() as client:
        yield client


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Odd:
    """A server that gives its `answers` one after the other; it notes each request's Idempotency-Key."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@pytest.fixture
def odd() -> Iterator[Odd]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            odd.keys.append(self.headers.get("Idempotency-Key"))
            odd.answers.pop(0)(self)
            self.close_connection = True

        do_GET = do_POST = answer

        def log_message(self, *_said: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    odd = Odd(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield odd
    server.shutdown()
    thread.join()
    server.server_close()

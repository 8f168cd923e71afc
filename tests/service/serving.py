"""The real processes of a service for tests: `service.serve` with its worker, judges by URL, and what they leave."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil

from judges.guard import die_with_parent
from service.store.records import RunRecord
from tests.service.pipeline.bench import Bench

WITHIN_S = 240.0
FINISHED = ("cancelled", "failed", "succeeded")


class Serving:
    """`python -m service.serve`, started again after each of its deaths; whoever else dies is not our business."""

    def __init__(self, home: Path, **settings: str) -> None:
        """`settings` are environment variables, as CHARTER_LEASE_S."""
        home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._environment = dict(os.environ) | {
            "CHARTER_HOME": str(home),
            "CHARTER_PORT": str(self.port),
            "CHARTER_ENGINE": "scripted",
            "CHARTER_SCRIPTED_BEHAVIOUR": str(home / "behaviour.json"),
            "CHARTER_LEASE_S": "6",
            **settings,
        }
        self.log_file = home / "serve.log"
        self._log = self.log_file.open("ab")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.serve"],
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def revive(self) -> None:
        if self.process.poll() is not None:
            self.start()

    def descendants(self, word: str) -> list[psutil.Process]:
        """Living processes below the service whose command line holds `word`."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if word in " ".join(child.cmdline()):
                        found.append(child)
        return found

    def limit_files(self, size: int) -> None:
        """No process of the service may write a file beyond `size` bytes: to them, the disk is full. -1: no limit."""
        for process in (psutil.Process(self.process.pid), *self.descendants("")):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))

    def stop(self) -> None:
        everyone = self.descendants("")
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        _, alive = psutil.wait_procs(everyone, timeout=10)
        assert alive == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def api(serving: Serving, bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key, once the service listens."""
    secret = (await bench.store.access.create_key(bench.project, "test", ("read", "write"))).secret
    url = f"http://127.0.0.1:{serving.port}"
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=30) as http:
        await until(lambda: listens(serving.port))
        yield http


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(true: Callable[[], object]) -> None:
    """Wait for something that nobody tells."""
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


async def finished(bench: Bench, run_id: str) -> RunRecord:
    """The run, once it has ended in any way."""
    deadline = time.monotonic() + WITHIN_S
    while (run := await bench.store.runs.get_any(run_id)).status not in FINISHED:
        assert time.monotonic() < deadline, f"still {run.status}"
        await asyncio.sleep(0.02)
    return run


async def resume(http: httpx.AsyncClient, bench: Bench, run_id: str) -> None:
    """Resume it; it must succeed."""
    assert (await http.post(f"/v1/runs/{run_id}/resume")).status_code == 200
    run = await finished(bench, run_id)
    assert run.status == "succeeded", run.error


def published(bench: Bench) -> dict[str, tuple[int, int]]:
    """Every file of the artifact store, with its inode and its time: a file made again has others."""
    root = Path(bench.settings.artifacts)
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(f.relative_to(root)): (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


@contextlib.contextmanager
def judge_by_url(home: Path, port: int, **behaviour: object) -> Iterator[None]:
    """A judge on its own, on a port: the scripted server, named `far`. It may end itself meanwhile."""
    file = home / "judge.json"
    file.write_text(json.dumps(behaviour))
    arguments = ("--port", str(port), "--behaviour", str(file), "--model", "far")
    process = subprocess.Popen([sys.executable, "-m", "judges.scripted", *arguments], preexec_fn=die_with_parent)
    try:
        while not listens(port):
            assert process.poll() is None
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


async def asked(port: int) -> Counter[str]:
    """How often the judge on this port was asked, by kind of request."""
    async with httpx.AsyncClient() as http:
        return Counter((await http.get(f"http://127.0.0.1:{port}/calls")).json()["kinds"])


def count(values: Mapping[str, object], name: str) -> int:
    """A number in a stage's result."""
    return int(str(values[name]))

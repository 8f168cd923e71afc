"""A vLLM server for a benchmark: our own command line, but on a port of this machine, for peers that know no sockets.

Its development routes are on, since one of them empties the prefix cache: never start a judge like this elsewhere.
Left out: what is asked of it (judging.py).
"""

import asyncio
import contextlib
import re
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from judges import guard
from judges.engine import EngineSettings, log_tail, server_command, server_environment
from judges.errors import EngineFailed
from judges.replicas import Endpoint

_STARTS_WITHIN_S = 600.0
_COUNTER = re.compile(r"^vllm:(\w+?)(?:_total)?\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tokens:
    """vLLM's counters since it started: prompt tokens that came in, those of them that were computed and not found in
    the prefix cache, and tokens written."""

    sent: int
    computed: int
    written: int

    def since(self, before: "Tokens") -> "Tokens":
        return Tokens(self.sent - before.sent, self.computed - before.computed, self.written - before.written)


class LoopbackServer:
    """A running server on 127.0.0.1."""

    def __init__(self, model: str, port: int) -> None:
        self.model = model
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.endpoint = Endpoint(model, self.url)

    async def tokens(self) -> Tokens:
        """The counters as they stand."""
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
            return read_tokens((await http.get(f"{self.url}/metrics")).text)

    async def forget(self) -> None:
        """Empty the prefix cache. Raises HTTPStatusError."""
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
            (await http.post(f"{self.url}/reset_prefix_cache")).raise_for_status()


@contextlib.asynccontextmanager
async def loopback_server(settings: EngineSettings) -> AsyncIterator[LoopbackServer]:
    """Start it, wait until it is well, and end it with all that belongs to it. Raises EngineFailed."""
    port = _free_port()
    command = server_command(settings)
    at = command.index("--uds")
    command[at : at + 2] = ["--host", "127.0.0.1", "--port", str(port)]
    environment = server_environment(settings) | {"VLLM_SERVER_DEV_MODE": "1"}
    with settings.log_path.open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(Path(guard.__file__)), "--", *command),
            stdin=PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
    server = LoopbackServer(settings.served_name, port)
    try:
        await _wait_until_well(server, child, settings.log_path)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


def read_tokens(metrics: str) -> Tokens:
    """From the text of /metrics."""
    sums = {"prompt_tokens": 0, "computed": 0, "generation_tokens": 0}
    for name, labels, value in _COUNTER.findall(metrics):
        if name == "prompt_tokens_by_source" and 'source="local_compute"' in labels:
            sums["computed"] += int(float(value))
        elif name in sums:
            sums[name] += int(float(value))
    return Tokens(sums["prompt_tokens"], sums["computed"], sums["generation_tokens"])


async def _wait_until_well(server: LoopbackServer, child: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
        while time.monotonic() < deadline and child.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"{server.url}/health")).status_code == 200:
                    return
            await asyncio.sleep(0.5)
    raise EngineFailed("the benchmark's server did not come up", log_tail(log))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""`kill -9` of the API between the write and the answer: whoever asks again with the same key doubles nothing."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from service.store.store import Store
from tests.service.api.conftest import PROMPTS

REQUESTS, KILLS = 40, 2


@asynccontextmanager
async def serving(home: Path, database_url: str, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m service.serve` without a worker; killed at the end, if it lives."""
    settings = {
        "CHARTER_HOME": str(home),
        "CHARTER_DATABASE_URL": database_url,
        "CHARTER_PORT": str(port),
        "CHARTER_WORKER": "false",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "service.serve", env=os.environ | settings)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def post_until_answered(http: httpx.AsyncClient, number: int) -> str:
    """The id of prompt set `number`; asks again after every broken connection."""
    headers = {"Idempotency-Key": f"set-{number}"}
    while True:
        try:
            answer = await http.post(f"/v1/prompt-sets?name=set{number}", content=PROMPTS, headers=headers)
        except httpx.TransportError:
            await asyncio.sleep(0.05)
            continue
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


async def test_each_post_counts_once_over_kills(tmp_path: Path, database_url: str) -> None:
    chance = random.Random(7)
    store = Store(database_url)
    project = (await store.access.ensure_project("default")).id
    secret = (await store.access.create_key(project, "k", ("read", "write"))).secret
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
        waiting = asyncio.gather(*(post_until_answered(http, number) for number in range(REQUESTS)))
        for kill in range(KILLS + 1):
            async with serving(tmp_path / "home", database_url, port):
                if kill == KILLS:
                    ids = await waiting
                else:
                    there = len(await store.prompt_sets.list(project, None, 100))
                    # Not before something new was written: kills at the start alone would prove nothing.
                    while len(await store.prompt_sets.list(project, None, 100)) == there and not waiting.done():  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(chance.uniform(0, 0.02))
    made = await store.prompt_sets.list(project, None, 100)
    assert sorted(record.id for record in made) == sorted(ids)
    assert len({record.name for record in made}) == len(made) == REQUESTS
    await store.close()

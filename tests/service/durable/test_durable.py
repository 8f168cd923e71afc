"""The job queue and its recovery, on a real SQLite file: what the library gives, and what we hold it to."""

import asyncio
import os
import socket
import sqlite3
from pathlib import Path

import dbos._serialization as serialization
import pytest
from dbos import DBOS

from service.durable import JobQueue, ended_here, migrate_jobs, new_executor_id
from service.errors import ServiceError
from service.store.store import Store


@pytest.fixture
async def store(tmp_path: Path):
    store = Store(f"sqlite:///{tmp_path / 'charter.sqlite'}")
    await store.migrate()
    await asyncio.to_thread(migrate_jobs, store.database.url)
    yield store
    await store.close()


def jobs(tmp_path: Path) -> list[str]:
    with sqlite3.connect(tmp_path / "charter.sqlite") as connection:
        return [row[0] for row in connection.execute("select workflow_uuid from workflow_status")]


async def test_a_job_is_there_with_its_transaction_and_once(store: Store, tmp_path: Path) -> None:
    queue = JobQueue(store.database.url)
    for _ in range(2):
        async with store.database.write() as session:
            await queue.enqueue(session, "run_1", 1)
    assert jobs(tmp_path) == ["run_1-1"]
    queue.close()


async def test_a_job_goes_with_its_transaction(store: Store, tmp_path: Path) -> None:
    queue = JobQueue(store.database.url)
    with pytest.raises(RuntimeError):
        async with store.database.write() as session:
            await queue.enqueue(session, "run_2", 1)
            raise RuntimeError("the row of the run was refused")
    assert jobs(tmp_path) == []
    queue.close()


async def test_pickle_is_refused(store: Store) -> None:
    JobQueue(store.database.url).close()
    with pytest.raises(ServiceError, match="pickled"):
        serialization.DefaultSerializer().deserialize("gASVAAAAAAAAAA==")


def test_the_librarys_private_recovery_is_still_there() -> None:
    assert callable(DBOS._recover_pending_workflows)


def test_a_worker_of_this_host_without_a_process_has_ended() -> None:
    assert not ended_here(new_executor_id())
    assert ended_here(f"{socket.gethostname()}-{2**22 + 1}-0123456789ab")
    assert not ended_here(f"another-host-{os.getpid()}-0123456789ab")
    assert not ended_here("no id of ours")


async def test_leases(store: Store) -> None:
    leases = store.leases
    assert not await leases.renew("w", 60)  # nobody gave it one
    assert await leases.renew("w", 60, first=True)
    assert await leases.renew("w", -1)
    await leases.remove_expired()
    assert await leases.living() == []
    assert not await leases.renew("w", 60)

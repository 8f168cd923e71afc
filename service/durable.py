"""Durable runs on DBOS: the only module that knows it. A run survives the death of any process at any moment.

A run is a workflow with one step a stage; a step means "ensure that this stage's results exist", so running it again
is harmless. Ours, since the library has none of it: leases that tell dead workers, recovery of their runs, cancel that
ends child processes, and no pickle anywhere. Left out: what a stage does (`pipeline/`).
"""

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import dbos._serialization as serialization
import psutil
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, run_dbos_database_migrations

from constitutions.errors import CharterError
from service.errors import ServiceError
from service.schemas import STAGES, Stage
from service.store.database import SessionOfStore, Transaction
from service.store.store import Store

# Raise it only when the order or the meaning of steps changes: a worker recovers runs of its own version alone.
PIPELINE_VERSION = "pipeline-1"
QUEUE = "runs"
_WORKFLOW = "execute_run"
_NAME = "charter"
_CANCEL_POLL_S = 0.3
_log = logging.getLogger(__name__)


class StageRunner(Protocol):
    """Ensures one stage of a run. Cancelled, it ends what it started before it returns."""

    async def __call__(self, run_id: str, stage: Stage) -> None: ...


def _refuse_pickle(*_: object) -> str:
    raise ServiceError("a pickled value stands in the job tables; it is not read, since reading it could run code")


def _forbid_pickle() -> None:
    # Whoever can write to the database could otherwise run code in the worker: rows choose their own format.
    for method in ("deserialize", "serialize"):
        setattr(serialization.DefaultSerializer, method, _refuse_pickle)


def sync_url(url: str) -> str:
    """The database's URL as DBOS wants it."""
    return url.replace("sqlite+aiosqlite", "sqlite").replace("postgresql+psycopg", "postgresql")


def migrate_jobs(url: str) -> None:
    """Make or upgrade the job tables; harmless when they are there."""
    run_dbos_database_migrations(sync_url(url))


class JobQueue:
    """The API's side: puts a run's job into the transaction that makes the run."""

    def __init__(self, url: str) -> None:
        _forbid_pickle()
        self._client = DBOSClient(
            system_database_url=sync_url(url), serializer=serialization.DBOSPortableJSON, application_name=_NAME
        )

    async def enqueue(self, session: SessionOfStore, run_id: str, attempt: int) -> None:
        """One job a run and attempt: enqueued twice, it is there once."""
        options: EnqueueOptions = {
            "queue_name": QUEUE,
            "workflow_name": _WORKFLOW,
            "workflow_id": f"{run_id}-{attempt}",
            "app_version": PIPELINE_VERSION,
        }

        def put(transaction: Transaction) -> None:
            self._client.enqueue_in_transaction(transaction, options, run_id)

        await session.run_sync(put)

    def close(self) -> None:
        self._client.destroy()


def new_executor_id() -> str:
    """Host, process and a random part. Never one that was used before: the job tables would take it for that one."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


def ended_here(executor_id: str) -> bool:
    """True for a worker of this host whose process is gone."""
    host, _, rest = executor_id.rpartition("-")[0].rpartition("-")
    return host == socket.gethostname() and rest.isdigit() and not psutil.pid_exists(int(rest))


@dataclass(frozen=True, slots=True)
class Executor:
    """The worker's side. `run_stage` does the work, `store` knows the runs, `id` must be new for every process."""

    store: Store
    run_stage: StageRunner
    id: str
    concurrent_runs: int = 1

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Take jobs from the queue until the block ends. Must be entered in the loop that the stages shall run in."""
        _forbid_pickle()
        config: DBOSConfig = {
            "name": _NAME,
            "system_database_url": sync_url(self.store.database.url),
            "executor_id": self.id,
            "application_version": PIPELINE_VERSION,
            "serializer": serialization.DBOSPortableJSON,
            "log_level": "WARNING",
            "use_listen_notify": False,
        }
        DBOS(config=config)

        @DBOS.step(name="run_stage")
        async def step(run_id: str, stage: Stage) -> str:
            return await self._stage(run_id, stage)

        @DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=1000)
        async def execute_run(run_id: str) -> str:
            return await self._execute(run_id, step)

        # launch() makes this loop the one that workflows run in.
        DBOS.launch()
        await DBOS.register_queue_async(
            QUEUE, worker_concurrency=self.concurrent_runs, polling_interval_sec=0.25, on_conflict="always_update"
        )
        try:
            yield
        finally:
            await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)

    async def take_over_from_the_dead(self) -> list[str]:
        """Go on with the runs whose worker holds no lease any more; returns the dead workers' ids.

        Two workers may do so at once: the library's query gives each run to one. (Its public call does not.)
        """
        await self.store.leases.remove_expired()
        for id in await self.store.leases.living():
            if ended_here(id):  # no need to wait for its lease
                await self.store.leases.drop(id)
        pending = await DBOS.list_workflows_async(status="PENDING", load_input=False, load_output=False)
        living = await self.store.leases.living()
        dead = sorted({job.executor_id for job in pending if job.executor_id and job.executor_id not in living})
        if dead:
            await asyncio.to_thread(DBOS._recover_pending_workflows, dead)
        return dead

    async def _execute(self, run_id: str, step: Callable[[str, Stage], Awaitable[str]]) -> str:
        run = await self.store.runs.get_any(run_id)
        if run.status == "queued" and not await self.store.runs.move(run_id, "running"):
            run = await self.store.runs.get_any(run_id)
        if run.status == "cancelling":
            await self.store.runs.move(run_id, "cancelled")
            return "cancelled"
        if run.status not in ("queued", "running"):
            return run.status
        for stage in (stage for stage in STAGES if stage in run.request.stages):
            outcome = await step(run_id, stage)
            if outcome != "done":
                return outcome
        await self.store.runs.move(run_id, "succeeded")
        return "succeeded"

    async def _stage(self, run_id: str, stage: Stage) -> str:
        """Run one stage, watching for a cancel. Errors that a person can mend end the run, not the worker."""
        work = asyncio.create_task(self.run_stage(run_id, stage))
        watch = asyncio.create_task(self._until_cancelled(run_id))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
                await self.store.runs.move(run_id, "cancelled")
                return "cancelled"
            work.result()
        except CharterError as error:
            _log.warning("run %s failed in stage %s: %s", run_id, stage, error)
            await self.store.runs.move(run_id, "failed", error=f"stage {stage}: {error}")
            return "failed"
        except OSError as error:
            _log.exception("run %s failed in stage %s", run_id, stage)
            await self.store.runs.move(run_id, "failed", error=f"stage {stage}: {error}; mend it, then resume the run")
            return "failed"
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        return "done"

    async def _until_cancelled(self, run_id: str) -> None:
        # Another process writes the status: there is nothing to wait on but the clock.
        while (await self.store.runs.get_any(run_id)).status != "cancelling":  # noqa: ASYNC110
            await asyncio.sleep(_CANCEL_POLL_S)

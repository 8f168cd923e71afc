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
from dataclasses import dataclass, field
from typing import Protocol

import dbos._serialization as serialization
import psutil
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, run_dbos_database_migrations

from constitutions.errors import CharterError
from service.artifacts import FULL
from service.errors import FailureCause, NotFound, RunFailed, ServiceError, StorageFull
from service.schemas import STAGES, RunStatus, Stage
from service.store.database import SessionOfStore, Transaction
from service.store.store import Store

# Raise it only when the order or the meaning of steps changes: a worker recovers runs of its own version alone.
PIPELINE_VERSION = "pipeline-1"
QUEUE = "runs"
_WORKFLOW = "execute_run"
_NAME = "charter"
_CANCEL_POLL_S = 0.3
_RECORD_AGAIN_S = 1.0
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
    _stopping: asyncio.Event = field(init=False, compare=False, default_factory=asyncio.Event)
    _at_work: set[asyncio.Task[None]] = field(init=False, compare=False, default_factory=set)

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
            return await self._execute(run_id, _attempt_of(DBOS.workflow_id or ""), step)

        # launch() makes this loop the one that workflows run in.
        DBOS.launch()
        await DBOS.register_queue_async(
            QUEUE, worker_concurrency=self.concurrent_runs, polling_interval_sec=0.25, on_conflict="always_update"
        )
        try:
            yield
        finally:
            # Before the parts that stages use are closed: a run must not fail of our own end.
            self._stopping.set()
            for work in self._at_work:
                work.cancel()
            if self._at_work:
                await asyncio.wait(self._at_work)
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

    async def _execute(self, run_id: str, attempt: int, step: Callable[[str, Stage], Awaitable[str]]) -> str:
        try:
            return await self._stages(run_id, attempt, step)
        except NotFound as error:  # it was deleted
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, a run that nobody works on must not stay `running`
            await self._leave_to_the_next()
            _log.exception("run %s ended", run_id)
            return await self._end(run_id, "failed", _fault(error))

    async def _stages(self, run_id: str, attempt: int, step: Callable[[str, Stage], Awaitable[str]]) -> str:
        run = await self.store.runs.get_any(run_id)
        if run.attempt != attempt:
            return "resumed meanwhile"  # the job of that attempt does the work
        if run.status == "queued" and not await self.store.runs.move(run_id, "running"):
            run = await self.store.runs.get_any(run_id)
        if run.status == "cancelling":
            return await self._end(run_id, "cancelled")
        if run.status not in ("queued", "running"):
            return run.status
        for stage in (stage for stage in STAGES if stage in run.request.stages):
            outcome = await step(run_id, stage)
            if outcome != "done":
                return outcome
        return await self._end(run_id, "succeeded")

    async def _stage(self, run_id: str, stage: Stage) -> str:
        """Run one stage, watching for a cancel. An error ends the run, not the worker."""
        work = asyncio.create_task(self._work(run_id, stage))
        watch = asyncio.create_task(self._until_cancelled(run_id))
        self._at_work.add(work)
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            await self._leave_to_the_next()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
                return await self._end(run_id, "cancelled")
            if error := work.exception():
                _log.warning("run %s failed in stage %s", run_id, stage, exc_info=error)
                cause = error.cause if isinstance(error, RunFailed) else None
                return await self._end(run_id, "failed", f"stage {stage}: {_fault(error)}", cause)
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
            self._at_work.discard(work)
        return "done"

    async def _work(self, run_id: str, stage: Stage) -> None:
        await self.run_stage(run_id, stage)

    async def _leave_to_the_next(self) -> None:
        """Once this worker is ending, wait for that: a job without an outcome is taken over."""
        if self._stopping.is_set():
            await asyncio.Event().wait()

    async def _until_cancelled(self, run_id: str) -> None:
        # Another process writes the status: there is nothing to wait on but the clock.
        while True:
            try:
                if (await self.store.runs.get_any(run_id)).status == "cancelling":
                    return
            except NotFound:
                raise
            except Exception:  # noqa: BLE001 - a database that is away for a moment is no cancel
                _log.warning("run %s: nobody knows whether it is to be cancelled", run_id, exc_info=True)
            await asyncio.sleep(_CANCEL_POLL_S)

    async def _end(
        self, run_id: str, status: RunStatus, error: str | None = None, cause: FailureCause | None = None
    ) -> str:
        """Record how a run ended. Where the database takes no more, it is tried until there is room again.

        A run that was asked to end meanwhile has no other way to end: it is cancelled.
        """
        while True:
            try:
                if await self.store.runs.move(run_id, status, error, cause):
                    return status
                now = (await self.store.runs.get_any(run_id)).status
                if now != "cancelling":
                    return now
                status, error, cause = "cancelled", None, None
                continue
            except NotFound:
                raise
            except Exception:  # noqa: BLE001 - given up, the run would stay `running` for ever
                _log.exception("run %s is %s (%s), which cannot be recorded; trying again", run_id, status, error)
            await asyncio.sleep(_RECORD_AGAIN_S)


def _attempt_of(job_id: str) -> int:
    """`enqueue` has named it."""
    return int(job_id.rpartition("-")[2])


def _fault(error: BaseException) -> str:
    """An error as the run's owner reads it: what, where, and what to do."""
    if isinstance(error, CharterError):
        return str(error)
    if isinstance(error, OSError):
        if error.errno in FULL:
            return str(StorageFull(f"no space left to write {error.filename!r}; free some, then resume the run"))
        return f"{error}; mend it, then resume the run"
    return f"a fault of the service, {type(error).__name__}: {error}; its log has the details. Then resume the run"

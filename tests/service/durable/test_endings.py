"""How a run ends: a cancel that comes last, an error that nobody foresaw, a late job, a worker that is asked to end."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.durable import Executor, JobQueue, StageRunner, new_executor_id
from service.errors import FailureCause, RunFailed
from service.schemas import STAGES, Stage
from service.store.store import Store
from tests.service.store.rows import Rows


@pytest.fixture
async def rows(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Rows]:
    shutil.copy(sqlite_template, tmp_path / "charter.sqlite")
    store = Store(f"sqlite:///{tmp_path / 'charter.sqlite'}")
    yield Rows(store, (await store.access.ensure_project("default")).id)
    await store.close()


async def carry_out(rows: Rows, runner: StageRunner, run_id: str, attempt: int = 1) -> str:
    """A job, without the queue."""
    executor = Executor(rows.store, runner, id=new_executor_id())
    return await executor._execute(run_id, attempt, executor._stage)


async def test_a_run_succeeds_after_its_stages(rows: Rows) -> None:
    seen: list[Stage] = []

    async def note(_: str, stage: Stage) -> None:
        seen.append(stage)

    run = await rows.run()
    assert await carry_out(rows, note, run.id) == "succeeded"
    assert tuple(seen) == STAGES


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancel_in_the_last_moment_is_one(rows: Rows, fails: bool) -> None:
    async def cancel_at_the_end(run_id: str, stage: Stage) -> None:
        if stage == "bundle":
            await rows.store.runs.cancel(rows.project, run_id)
            if fails:
                raise RunFailed("and it failed")

    run = await rows.run()
    assert await carry_out(rows, cancel_at_the_end, run.id) == "cancelled"
    assert (await rows.store.runs.get_any(run.id)).status == "cancelled"


async def test_an_error_that_nobody_foresaw_ends_the_run(rows: Rows) -> None:
    async def divide(_run_id: str, _stage: Stage) -> None:
        raise ZeroDivisionError("by nothing")

    run = await rows.run()
    assert await carry_out(rows, divide, run.id) == "failed"
    said = "stage sample: a fault of the service, ZeroDivisionError: by nothing; its log"
    assert ((await rows.store.runs.get_any(run.id)).error or "").startswith(said)


@pytest.mark.parametrize("cause", [None, "out_of_memory", "killed"])
async def test_why_a_run_failed_is_kept_beside_what_is_said_of_it(rows: Rows, cause: FailureCause | None) -> None:
    async def fail(_run_id: str, _stage: Stage) -> None:
        raise RunFailed("no more", cause)

    run = await rows.run()
    assert await carry_out(rows, fail, run.id) == "failed"
    last = (await rows.store.runs.events(run.id))[-1]
    kept = {} if cause is None else {"cause": cause}
    assert (last.type, last.data) == ("error", {"status": "failed", "message": "stage sample: no more", **kept})


async def test_a_job_of_an_earlier_attempt_leaves_the_run_alone(rows: Rows) -> None:
    async def never(_run_id: str, _stage: Stage) -> None:
        pytest.fail("it worked on a run of another attempt")

    run = await rows.run()
    await rows.store.runs.cancel(rows.project, run.id)
    await rows.store.runs.resume(rows.project, run.id, rows.enqueue)
    await carry_out(rows, never, run.id, attempt=1)
    assert (await rows.store.runs.get_any(run.id)).status == "queued"


async def test_a_worker_that_is_asked_to_end_leaves_its_run_to_the_next(rows: Rows) -> None:
    began = asyncio.Event()
    ended = asyncio.Event()

    async def until_its_parts_are_closed(_run_id: str, _stage: Stage) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.set()
            raise RunFailed("the model server is gone") from None

    queue = JobQueue(rows.store.database.url)
    draft = await rows.run()
    run = await rows.store.runs.create(rows.project, draft.request, draft.references, queue.enqueue)
    executor = Executor(rows.store, until_its_parts_are_closed, id=new_executor_id())
    async with executor.working():
        await began.wait()
    assert ended.is_set()
    assert (await rows.store.runs.get_any(run.id)).status == "running"
    queue.close()

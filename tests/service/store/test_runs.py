"""Runs: the status moves along its edges only, whoever comes second changes nothing, events have no gap."""

import asyncio
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import Conflict, NotFound
from service.store.records import NewEvent
from service.store.runs import EDGES, FINISHED

# Drawn from the contract, not from the code.
ALLOWED = {
    ("queued", "running"),
    ("queued", "cancelling"),
    ("queued", "cancelled"),
    ("queued", "failed"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelling"),
    ("cancelling", "cancelled"),
    ("failed", "queued"),
    ("cancelled", "queued"),
}
STATUSES = tuple(EDGES)


async def test_a_new_run_has_a_job_and_a_first_event(rows, store, project):
    run = await rows.run()
    assert (run.status, run.attempt, rows.enqueued) == ("queued", 1, [(run.id, 1)])
    (event,) = await store.runs.events(run.id)
    assert (event.seq, event.type, event.data) == (1, "stage", {"status": "queued"})


async def test_no_job_no_run(rows, store, project):
    async def broken(_session, _run_id, _attempt):
        raise Conflict("the queue is closed")

    run = await rows.run()
    with pytest.raises(Conflict):
        await store.runs.create(project, run.request, run.references, broken)
    assert [record.id for record in await store.runs.list(project)] == [run.id]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(moves=st.lists(st.sampled_from(STATUSES), max_size=8))
async def test_only_allowed_edges(rows, store, project, moves):
    run = await rows.run()
    status, events = "queued", 1
    for to in moves:
        moved = await store.runs.move(run.id, to)
        assert moved == ((status, to) in ALLOWED)
        if moved:
            status, events = to, events + 1
    record = await store.runs.get(project, run.id)
    assert record.status == status
    assert (record.finished_at is not None) == (status in FINISHED)
    assert [event.seq for event in await store.runs.events(run.id)] == list(range(1, events + 1))


async def test_of_many_at_once_one_moves_it(run, store):
    moved = await asyncio.gather(*(store.runs.move(run.id, "running") for _ in range(8)))
    assert sorted(moved) == [False] * 7 + [True]
    assert len(await store.runs.events(run.id)) == 2


async def test_cancel(rows, store, project):
    queued, running = await rows.run(), await rows.run()
    await store.runs.move(running.id, "running")
    assert (await store.runs.cancel(project, queued.id)).status == "cancelled"
    assert (await store.runs.cancel(project, running.id)).status == "cancelling"
    assert (await store.runs.cancel(project, running.id)).status == "cancelling"  # twice is once
    assert await store.runs.move(running.id, "cancelled")
    assert (await store.runs.cancel(project, running.id)).status == "cancelled"


async def test_a_finished_run_is_not_cancelled(run, store, project):
    await store.runs.move(run.id, "running")
    await store.runs.move(run.id, "succeeded")
    with pytest.raises(Conflict, match="has succeeded; there is nothing to cancel"):
        await store.runs.cancel(project, run.id)


async def test_resume_counts_attempts_and_clears_the_error(rows, run, store, project):
    with pytest.raises(Conflict, match="is queued; only a failed or cancelled run"):
        await store.runs.resume(project, run.id, rows.enqueue)
    await store.runs.move(run.id, "running")
    await store.runs.move(run.id, "failed", error="stage train: no space left\x00")
    failed = await store.runs.get(project, run.id)
    assert failed.error.startswith("stage train: no space left")
    resumed = await store.runs.resume(project, run.id, rows.enqueue)
    assert (resumed.status, resumed.attempt, resumed.error, resumed.finished_at) == ("queued", 2, None, None)
    assert rows.enqueued[-1] == (run.id, 2)


async def test_of_many_resumes_one_counts(rows, run, store, project):
    await store.runs.move(run.id, "failed")
    answers = await asyncio.gather(
        *(store.runs.resume(project, run.id, rows.enqueue) for _ in range(6)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 5 + ["RunRecord"]
    assert (await store.runs.get(project, run.id)).attempt == 2
    assert rows.enqueued[1:] == [(run.id, 2)]


async def test_a_stage_is_recorded_once(run, store):
    first = await store.runs.record_stage(run.id, "sample", {"shards": ["a"]}, 1.5)
    second = await store.runs.record_stage(run.id, "sample", {"shards": ["b"]}, 9.0)
    assert second == first
    assert (await store.runs.stages(run.id))["sample"].result == {"shards": ["a"]}


async def test_a_stage_is_recorded_once_by_many_at_once(run, store):
    records = await asyncio.gather(
        *(store.runs.record_stage(run.id, "judge", {"writer": i}, float(i)) for i in range(8))
    )
    assert len({str(record) for record in records}) == 1


async def test_a_stage_or_event_of_no_run_is_refused(store, project):
    with pytest.raises(NotFound):
        await store.runs.record_stage("run_0", "sample", {}, 0.0)
    with pytest.raises(NotFound):
        await store.runs.add_event("run_0", NewEvent("sample", "progress"))


async def test_events_come_in_order_and_in_pages(run, store):
    for done in range(1, 6):
        await store.runs.add_event(run.id, NewEvent("sample", "progress", done, 5, 1.5, {"note": "half \u0000 way"}))
    events = await store.runs.events(run.id, after_seq=2, limit=3)
    assert [(event.seq, event.done, event.eta_s) for event in events] == [(3, 2, 1.5), (4, 3, 1.5), (5, 4, 1.5)]
    assert events[0].data == {"note": "half \u0000 way"}


WRITER = """
import asyncio, sys
from service.store.records import NewEvent
from service.store.store import Store

async def write(url, run_id, who):
    store = Store(url)
    for number in range(40):
        await store.runs.add_event(run_id, NewEvent("sample", "progress", data={"who": who, "number": number}))
    await store.close()

asyncio.run(write(*sys.argv[1:]))
"""


async def test_events_of_two_processes_have_no_gap_and_no_twin(database_url, run, store, project):
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, database_url, run.id, who, stderr=subprocess.PIPE
        )
        for who in ("worker", "reaper")
    ]
    # A third writer moves the run's status meanwhile, as the API does.
    await store.runs.move(run.id, "running")
    await store.runs.cancel(project, run.id)
    for writer in writers:
        _, said = await writer.communicate()
        assert writer.returncode == 0, said.decode()
    events = await store.runs.events(run.id)
    assert [event.seq for event in events] == list(range(1, 84))  # 1 queued + 2 moves + 2 * 40
    for who in ("worker", "reaper"):
        assert [event.data["number"] for event in events if event.data.get("who") == who] == list(range(40))

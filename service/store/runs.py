"""Runs: their state machine, what their stages left behind, and their events.

A status moves only along `EDGES`, by compare-and-set: whoever comes second changes nothing and is told so.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Conflict, FailureCause, NotFound
from service.schemas import UNCHANGED, ResumeRequest, RunRequest, RunStatus, Stage
from service.store.database import Database, new_id
from service.store.label_tables import LabelProject
from service.store.lookup import find, json_object, page, to_json
from service.store.records import EventRecord, JsonObject, NewEvent, RunRecord, RunReferences, StageRecord
from service.store.tables import Adapter, Event, PreferenceSet, Run, StageResult, now

EDGES: dict[RunStatus, tuple[RunStatus, ...]] = {
    "queued": ("running", "cancelling", "cancelled", "failed"),
    "running": ("succeeded", "failed", "cancelling"),
    "cancelling": ("cancelled",),
    "cancelled": ("queued",),
    "failed": ("queued",),
    "succeeded": (),
}
FINISHED: tuple[RunStatus, ...] = ("cancelled", "failed", "succeeded")
# Called inside the transaction that makes a run, so that a run without a job, or a job without a run, cannot be.
Enqueue = Callable[[AsyncSession, str, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Said:
    """What a status comes with: an `error` of a run that failed, else something `told`."""

    error: str | None = None
    cause: FailureCause | None = None
    told: str = ""


class Runs:
    """Runs of all projects; the pipeline, which has only a run's id, uses the methods without a project."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self, project_id: str, request: RunRequest, references: RunReferences, enqueue: Enqueue
    ) -> RunRecord:
        """The run, its first event and its job, in one transaction. Raises NotFound where what it names is gone."""
        async with self._db.write() as session:
            # No foreign key says so: preference sets point to runs themselves. Sorted, so that no two runs deadlock.
            for set_id in sorted({id for id in (references.human_id, references.gold_id) if id is not None}):
                await find(session, PreferenceSet, project_id, set_id, lock=True)
            if references.reward_adapter_id is not None:
                await find(session, Adapter, project_id, references.reward_adapter_id, lock=True)
            for adapter in (request.start_from, *request.training.reward_ensemble):
                if adapter is not None:
                    await find(session, Adapter, project_id, adapter, lock=True)
            run = Run(
                id=new_id("run"),
                project_id=project_id,
                request=request.model_dump_json(),
                status="queued",
                constitution_id=references.constitution_id,
                prompts_id=references.prompts_id,
                held_out_id=references.held_out_id,
                human_id=references.human_id,
                gold_id=references.gold_id,
                model_id=references.model_id,
                judge_id=references.judge_id,
                reward_adapter_id=references.reward_adapter_id,
            )
            session.add(run)
            await session.flush()
            await add_event(session, run.id, NewEvent(None, "stage", data={"status": "queued"}))
            await session.refresh(run)
            await enqueue(session, run.id, run.attempt)
            return run_record(run)

    async def get(self, project_id: str, id: str) -> RunRecord:
        async with self._db.read() as session:
            return run_record(await find(session, Run, project_id, id))

    async def get_any(self, id: str) -> RunRecord:
        """By id alone: for the worker. Raises NotFound."""
        async with self._db.read() as session:
            return run_record(await _run(session, id))

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> Sequence[RunRecord]:
        async with self._db.read() as session:
            return [run_record(row) for row in await page(session, Run, project_id, after, limit)]

    async def in_status(self, statuses: Sequence[RunStatus]) -> Sequence[RunRecord]:
        """Runs of all projects in one of the statuses, oldest first."""
        async with self._db.read() as session:
            rows = await session.scalars(select(Run).where(Run.status.in_(statuses)).order_by(Run.id))
            return [run_record(row) for row in rows]

    async def move(self, id: str, to: RunStatus, error: str | None = None, cause: FailureCause | None = None) -> bool:
        """Move along an edge and tell so in an event; False where the run's status has no such edge any more."""
        async with self._db.write() as session:
            return await _move(session, id, to, _Said(error, cause))

    async def cancel(self, project_id: str, id: str) -> RunRecord:
        """Ask for it: a queued run is cancelled at once, a running one by its worker. Raises Conflict once finished."""
        async with self._db.write() as session:
            run = await find(session, Run, project_id, id, lock=True)
            if run.status in ("succeeded", "failed"):
                raise Conflict(f"run {id} has {run.status}; there is nothing to cancel")
            if run.status in ("queued", "running"):
                await _move(session, id, "cancelled" if run.status == "queued" else "cancelling")
            await session.refresh(run)
            return run_record(run)

    async def resume(self, project_id: str, id: str, enqueue: Enqueue, changes: ResumeRequest = UNCHANGED) -> RunRecord:
        """Queue a failed or cancelled run again; what it finished stays. Raises Conflict for any other."""
        async with self._db.write() as session:
            run = await find(session, Run, project_id, id, lock=True)
            if run.status not in ("failed", "cancelled"):
                raise Conflict(f"run {id} is {run.status}; only a failed or cancelled run can be resumed")
            run.attempt += 1
            told = ""
            if changes.changed:
                run.request = changes.applied_to(RunRequest.model_validate_json(run.request)).model_dump_json()
                told = f"It goes on with {', '.join(f'{name} {value}' for name, value in changes.changed.items())}."
            await session.flush()
            await _move(session, id, "queued", _Said(told=told))
            await session.refresh(run)
            await enqueue(session, run.id, run.attempt)
            return run_record(run)

    async def delete(self, project_id: str, id: str) -> None:
        """With its events, stage results and mixed set. Raises Conflict while it runs or something depends on it."""
        async with self._db.write() as session:
            run = await find(session, Run, project_id, id, lock=True)
            if run.status not in FINISHED:
                raise Conflict(f"run {id} is {run.status}; cancel it first")
            users = list(await session.scalars(select(Adapter.id).where(Adapter.run_id == id)))
            if users:
                raise Conflict(f"run {id} made {', '.join(users)}; delete that first")
            mixed = select(PreferenceSet.id).where(PreferenceSet.run_id == id)
            labelled = or_(LabelProject.run_id == id, LabelProject.preference_set_id.in_(mixed))
            if users := list(await session.scalars(select(LabelProject.id).where(labelled))):
                raise Conflict(f"people label the pairs of run {id} in {', '.join(users)}; delete those first")
            named = or_(Run.human_id == PreferenceSet.id, Run.gold_id == PreferenceSet.id)
            used = select(Run.id).join(PreferenceSet, named).where(PreferenceSet.run_id == id).distinct()
            if users := list(await session.scalars(used)):
                raise Conflict(f"the preference set of run {id} is used by {', '.join(users)}; delete those first")
            await session.execute(delete(PreferenceSet).where(PreferenceSet.run_id == id))
            await session.execute(delete(Event).where(Event.run_id == id))
            await session.execute(delete(StageResult).where(StageResult.run_id == id))
            await session.delete(run)

    async def record_stage(self, id: str, stage: Stage, result: JsonObject, seconds: float) -> StageRecord:
        """What a stage left behind. The first writer wins; a later one gets the first one's record."""
        async with self._db.write() as session:
            await _run(session, id, lock=True)
            there = await session.get(StageResult, (id, stage))
            if there is None:
                there = StageResult(run_id=id, stage=stage, result=to_json(result), seconds=seconds, at=now())
                session.add(there)
                await session.flush()
            return _stage_record(there)

    async def stages(self, id: str) -> dict[str, StageRecord]:
        """The finished stages by name."""
        async with self._db.read() as session:
            rows = await session.scalars(select(StageResult).where(StageResult.run_id == id))
            return {row.stage: _stage_record(row) for row in rows}

    async def add_event(self, id: str, new: NewEvent) -> EventRecord:
        """Number it and keep it."""
        async with self._db.write() as session:
            return await add_event(session, id, new)

    async def events(self, id: str, after_seq: int = 0, limit: int = 1000) -> Sequence[EventRecord]:
        """In order, those after `after_seq`."""
        async with self._db.read() as session:
            query = select(Event).where(Event.run_id == id, Event.seq > after_seq).order_by(Event.seq).limit(limit)
            return [event_record(row) for row in await session.scalars(query)]


async def add_event(session: AsyncSession, run_id: str, new: NewEvent) -> EventRecord:
    """Number it within the caller's transaction: the update locks the run's row, so numbers have no gap and no twin."""
    query = update(Run).where(Run.id == run_id).values(last_seq=Run.last_seq + 1).returning(Run.last_seq)
    seq = await session.scalar(query)
    if seq is None:
        raise NotFound(f"there is no run {run_id!r}")
    row = Event(
        run_id=run_id,
        seq=seq,
        stage=new.stage,
        type=new.type,
        at=now(),
        done=new.done,
        total=new.total,
        eta_s=new.eta_s,
        data=to_json(new.data or {}),
    )
    session.add(row)
    await session.flush()
    return event_record(row)


async def _move(session: AsyncSession, id: str, to: RunStatus, said: _Said = _Said()) -> bool:
    sources = [status for status, targets in EDGES.items() if to in targets]
    error = said.error.replace("\0", "") if said.error else None  # the log of a program that died may hold anything
    values: dict[str, str | None] = {"status": to, "error": error}
    if to == "running":
        values["started_at"] = now()
    values["finished_at"] = now() if to in FINISHED else None
    query = update(Run).where(Run.id == id, Run.status.in_(sources)).values(**values).returning(Run.id)
    if await session.scalar(query) is None:
        return False
    data: JsonObject = {"status": to, "message": error or said.told}
    if said.cause is not None:
        data["cause"] = said.cause
    await add_event(session, id, NewEvent(None, "error" if error else "stage", data=data))
    return True


async def _run(session: AsyncSession, id: str, *, lock: bool = False) -> Run:
    run = await session.get(Run, id, with_for_update=lock)
    if run is None:
        raise NotFound(f"there is no run {id!r}")
    return run


def run_record(row: Run) -> RunRecord:
    references = RunReferences(
        constitution_id=row.constitution_id,
        prompts_id=row.prompts_id,
        held_out_id=row.held_out_id,
        human_id=row.human_id,
        model_id=row.model_id,
        judge_id=row.judge_id,
        reward_adapter_id=row.reward_adapter_id,
        gold_id=row.gold_id,
    )
    return RunRecord(
        id=row.id,
        project_id=row.project_id,
        request=RunRequest.model_validate_json(row.request),
        references=references,
        status=row.status,  # type: ignore[arg-type]
        error=row.error,
        attempt=row.attempt,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _stage_record(row: StageResult) -> StageRecord:
    return StageRecord(row.stage, json_object(row.result), row.seconds, row.at)  # type: ignore[arg-type]


def event_record(row: Event) -> EventRecord:
    return EventRecord(
        run_id=row.run_id,
        seq=row.seq,
        stage=row.stage,  # type: ignore[arg-type]
        type=row.type,  # type: ignore[arg-type]
        at=row.at,
        done=row.done,
        total=row.total,
        eta_s=row.eta_s,
        data=json_object(row.data),
    )

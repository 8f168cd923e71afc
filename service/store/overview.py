"""What pages show beside one another: the newest first, and of a run's events only what is drawn. Reads alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.schemas import STAGES, Stage
from service.store.database import Database
from service.store.label_records import LabelProjectRecord, TaskLabel
from service.store.label_rows import project_record, task_label
from service.store.label_tables import LabelProject, LabelTask
from service.store.lookup import Row, find, json_object
from service.store.records import (
    AdapterRecord,
    ConstitutionRecord,
    EventRecord,
    JsonObject,
    PreferenceSetRecord,
    RunRecord,
)
from service.store.resources import adapter_record, constitution_record, preference_set_record
from service.store.runs import event_record, run_record
from service.store.tables import Adapter, Constitution, Event, Label, PreferenceSet, Run, StageResult

# More points than a curve has pixels tell nothing.
MOST_STEPS = 2000
_TOLD = ("stage", "warning", "error")
# Of tasks that want answers, whether or not they have all of them.
_ASKED_LANES = ("open", "done")


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in the list. `constitution` is name@version, `evaluated` what its stage `evaluate` left, if it ended."""

    run: RunRecord
    constitution: str
    finished: frozenset[str]
    evaluated: JsonObject

    @property
    def stage(self) -> Stage | None:
        """The first stage that has not finished; None where all have."""
        waiting = [stage for stage in STAGES if stage in self.run.request.stages and stage not in self.finished]
        return waiting[0] if waiting else None


@dataclass(frozen=True, slots=True)
class LabelProjectLine:
    """A label project in the list. `asked` are the tasks that want answers: training, gold and repeats apart."""

    project: LabelProjectRecord
    asked: int

    @property
    def finished(self) -> int:
        """The tasks that have as many answers as the overlap."""
        return self.asked - self.project.open_tasks


@dataclass(frozen=True, slots=True)
class RoutedTasks:
    """The tasks that were sent to people for one reason, and the answers to them so far."""

    routed_by: str
    tasks: int
    answers: int


class Overview:
    """Pages end after `limit` + 1: the extra one tells that there are older ones, which `before` its id asks for."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def runs(self, project_id: str, before: str | None, limit: int) -> list[RunLine]:
        async with self._db.read() as session:
            rows = await _newest(session, Run, project_id, before, limit)
            laws = select(Constitution).where(Constitution.id.in_({row.constitution_id for row in rows}))
            names = {law.id: f"{law.name}@{law.version}" for law in await session.scalars(laws)}
            results = await _results(session, [row.id for row in rows])
        return [
            RunLine(
                run=run_record(row),
                constitution=names[row.constitution_id],
                finished=frozenset(results[row.id]),
                evaluated=results[row.id].get("evaluate", {}),
            )
            for row in rows
        ]

    async def constitutions(self, project_id: str, before: str | None, limit: int) -> list[ConstitutionRecord]:
        async with self._db.read() as session:
            rows = await _newest(session, Constitution, project_id, before, limit)
            return [constitution_record(row) for row in rows]

    async def versions(self, project_id: str, name: str) -> list[ConstitutionRecord]:
        """Of one constitution, newest first."""
        own = select(Constitution).where(Constitution.project_id == project_id, Constitution.name == name)
        async with self._db.read() as session:
            return [constitution_record(row) for row in await session.scalars(own.order_by(Constitution.id.desc()))]

    async def preference_sets(self, project_id: str, before: str | None, limit: int) -> list[PreferenceSetRecord]:
        async with self._db.read() as session:
            rows = await _newest(session, PreferenceSet, project_id, before, limit)
            return [preference_set_record(row) for row in rows]

    async def adapters(self, project_id: str, before: str | None, limit: int) -> list[AdapterRecord]:
        async with self._db.read() as session:
            return [adapter_record(row) for row in await _newest(session, Adapter, project_id, before, limit)]

    async def label_projects(self, project_id: str, before: str | None, limit: int) -> list[LabelProjectLine]:
        async with self._db.read() as session:
            rows = await _newest(session, LabelProject, project_id, before, limit)
            asked = await _asked(session, [row.id for row in rows])
        return [LabelProjectLine(project_record(row), asked.get(row.id, 0)) for row in rows]

    async def label_project(self, project_id: str, id: str) -> LabelProjectLine:
        """By id, or the newest of a name. Raises NotFound."""
        async with self._db.read() as session:
            row = await find(session, LabelProject, project_id, id)
            asked = await _asked(session, [row.id])
        return LabelProjectLine(project_record(row), asked.get(row.id, 0))

    async def routed(self, label_project_id: str) -> list[RoutedTasks]:
        """Why a label project's tasks were sent, the most frequent reason first."""
        tasks = func.count().label("tasks")
        query = (
            select(LabelTask.routed_by, tasks, func.sum(LabelTask.answered))
            .where(LabelTask.label_project_id == label_project_id)
            .group_by(LabelTask.routed_by)
            .order_by(tasks.desc(), LabelTask.routed_by)
        )
        async with self._db.read() as session:
            return [RoutedTasks(reason, count, answers) for reason, count, answers in await session.execute(query)]

    async def prompts_found_bad(self, label_project_id: str) -> int:
        """Of how many prompts somebody said that all replies are bad; training, gold and repeats ask for nothing."""
        query = (
            select(func.count(LabelTask.prompt.distinct()))
            .join(Label, Label.task_id == LabelTask.id)
            .where(Label.label_project_id == label_project_id, Label.undone_at.is_(None), Label.choice == "both_bad")
            .where(LabelTask.lane.in_(_ASKED_LANES))
        )
        async with self._db.read() as session:
            return await session.scalar(query) or 0

    async def commented(self, label_project_id: str, before: str | None, limit: int) -> list[TaskLabel]:
        """A label project's answers with a comment, skips and training too, newest first."""
        query = (
            select(Label, LabelTask)
            .join(LabelTask, LabelTask.id == Label.task_id)
            .where(Label.label_project_id == label_project_id, Label.undone_at.is_(None), Label.comment != "")
            .order_by(Label.id.desc())
            .limit(limit + 1)
        )
        if before:
            query = query.where(Label.id < before.replace("\0", ""))
        async with self._db.read() as session:
            return [task_label(label, task) for label, task in await session.execute(query)]

    async def last_seq(self, run_id: str) -> int:
        """The number of the run's newest event."""
        async with self._db.read() as session:
            return await session.scalar(select(Run.last_seq).where(Run.id == run_id)) or 0

    async def told(self, run_id: str, limit: int) -> list[EventRecord]:
        """The newest events that say something in words, newest first: stages, warnings, errors."""
        found = select(Event).where(Event.run_id == run_id, Event.type.in_(_TOLD))
        async with self._db.read() as session:
            rows = await session.scalars(found.order_by(Event.seq.desc()).limit(limit))
            return [event_record(row) for row in rows]

    async def progress(self, run_id: str) -> Mapping[str, EventRecord]:
        """The last count of each stage."""
        last = select(func.max(Event.seq)).where(Event.run_id == run_id, Event.type == "progress").group_by(Event.stage)
        found = select(Event).where(Event.run_id == run_id, Event.seq.in_(last))
        async with self._db.read() as session:
            return {str(row.stage): event_record(row) for row in await session.scalars(found)}

    async def metrics(self, run_id: str, most: int = MOST_STEPS) -> Sequence[EventRecord]:
        """In order; of a long training every second step, or third, so that there are about `most`."""
        own: tuple[ColumnElement[bool], ...] = (Event.run_id == run_id, Event.type == "metric")
        async with self._db.read() as session:
            count = await session.scalar(select(func.count()).select_from(Event).where(*own)) or 0
            apart = -(-count // most)
            if apart > 1:
                own = (*own, or_(Event.done % apart == 0, Event.done == Event.total))
            rows = await session.scalars(select(Event).where(*own).order_by(Event.seq))
            return [event_record(row) for row in rows]


async def _asked(session: AsyncSession, label_project_ids: Sequence[str]) -> Mapping[str, int]:
    """How many tasks of each label project want answers."""
    query = (
        select(LabelTask.label_project_id, func.count())
        .where(LabelTask.label_project_id.in_(label_project_ids), LabelTask.lane.in_(_ASKED_LANES))
        .group_by(LabelTask.label_project_id)
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def _results(session: AsyncSession, run_ids: Sequence[str]) -> Mapping[str, dict[str, JsonObject]]:
    """Of each run, its finished stages' results; what nobody shows in a list stays unread."""
    names = select(StageResult.run_id, StageResult.stage).where(StageResult.run_id.in_(run_ids))
    shown = select(StageResult).where(StageResult.run_id.in_(run_ids), StageResult.stage == "evaluate")
    results: dict[str, dict[str, JsonObject]] = defaultdict(dict)
    for run_id, stage in await session.execute(names):
        results[run_id][stage] = {}
    for row in await session.scalars(shown):
        results[row.run_id][row.stage] = json_object(row.result)
    return results


async def _newest(
    session: AsyncSession, table: type[Row], project_id: str, before: str | None, limit: int
) -> Sequence[Row]:
    query = select(table).where(table.project_id == project_id).order_by(table.id.desc()).limit(limit + 1)
    if before:
        query = query.where(table.id < before.replace("\0", ""))
    return (await session.scalars(query)).all()

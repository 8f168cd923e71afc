"""Another routing of a label project: tasks that nobody has seen give way to others; what people have touched stays."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from service.store.label_records import TARGETED, AskedPairs
from service.store.label_tables import LabelProject, LabelTask, TaskAssignment
from service.store.tables import Label

_ROWS_AT_ONCE = 1000
# A row of `label_task`, by its columns.
TaskRow = Mapping[str, str | int | float | None]


async def asked_pairs(session: AsyncSession, label_project_id: str) -> AskedPairs:
    """Which pairs have tasks, as far as another routing leaves them alone."""
    pairs = select(LabelTask.pair_id).distinct().where(LabelTask.label_project_id == label_project_id)
    gold = await session.scalars(pairs.where(LabelTask.lane.in_(("training", "gold"))))
    kept = await session.scalars(pairs.where(LabelTask.lane.in_(("open", "done")), ~_unseen()))
    return AskedPairs(frozenset(gold), frozenset(kept))


async def insert_tasks(session: AsyncSession, rows: Sequence[TaskRow]) -> None:
    """Rows of `label_task`, however many."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await session.execute(insert(LabelTask), rows[start : start + _ROWS_AT_ONCE])


async def replace_unseen(
    session: AsyncSession, project: LabelProject, rows: Sequence[TaskRow], most: int
) -> tuple[int, int]:
    """Tasks dropped and added. Of `rows` as many as fit into `most` beside those that stay, the first ones.

    For a project that is locked. A pair that somebody was given since `asked_pairs` is not asked about twice.
    """
    own = LabelTask.label_project_id == project.id
    kept = (await asked_pairs(session, project.id)).kept
    unseen = await session.execute(select(LabelTask.id, LabelTask.pair_id).where(own, _unseen()))
    # A pair that somebody has seen under one principle is asked about under the others too.
    dropped = [id for id, pair_id in unseen if pair_id not in kept]
    for start in range(0, len(dropped), _ROWS_AT_ONCE):
        ids = dropped[start : start + _ROWS_AT_ONCE]
        await session.execute(delete(LabelTask).where(LabelTask.repeat_of.in_(ids)))
        await session.execute(delete(LabelTask).where(LabelTask.id.in_(ids)))
    staying = select(func.count()).where(own, LabelTask.lane.in_(("open", "done")))
    room = most - (await session.scalar(staying) or 0)
    added = _at_most([row for row in rows if row["pair_id"] not in kept], max(0, room))
    last = await session.scalar(select(func.max(LabelTask.position)).where(own))
    first = 0 if last is None else last + 1
    await insert_tasks(session, [{**row, "position": first + number} for number, row in enumerate(added)])
    await _count_again(session, project)
    return len(dropped), sum(row["lane"] == "open" for row in added)


def _unseen() -> ColumnElement[bool]:
    """Sent for what a label should correct, and nobody was given it or a repeat of it."""
    repeats = aliased(LabelTask)
    again = select(repeats.id).where(repeats.repeat_of == LabelTask.id, _is_touched(repeats.id))
    return (
        (LabelTask.lane == "open")
        & LabelTask.routed_by.in_(TARGETED)
        & ~_is_touched(LabelTask.id)
        & ~again.correlate(LabelTask).exists()
    )


def _is_touched(task_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Somebody holds, held, answered or skipped it; an answer that was taken back counts too."""
    # Under a name of their own, so that they are never joined with those of the query around them.
    lease, label = aliased(TaskAssignment), aliased(Label)
    return exists().where(lease.task_id == task_id) | exists().where(label.task_id == task_id)


def _question(row: TaskRow) -> tuple[object, object]:
    return row["pair_id"], row["principle_id"]


def _at_most(rows: Sequence[TaskRow], most: int) -> list[TaskRow]:
    """The first `most` that are no repeats, and the repeats of those."""
    asked = {_question(row) for row in [row for row in rows if row["lane"] == "open"][:most]}
    return [row for row in rows if _question(row) in asked]


async def _count_again(session: AsyncSession, project: LabelProject) -> None:
    lanes = (
        select(LabelTask.lane, func.count()).where(LabelTask.label_project_id == project.id).group_by(LabelTask.lane)
    )
    of_lane = {row[0]: row[1] for row in await session.execute(lanes)}
    project.tasks = sum(of_lane.values())
    project.open_tasks = of_lane.get("open", 0)
    project.repeats = of_lane.get("repeat", 0)

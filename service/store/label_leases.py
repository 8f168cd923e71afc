"""Which task an annotator gets next: training first, then what lacks answers, gold at its share, and due repeats.

The queries are built once: building one takes longer than SQLite needs to answer it.
"""

import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, exists, func, or_, select

from service.store.label_records import LeasedTask
from service.store.label_rows import leased_task, texts
from service.store.label_tables import LabelTask, TaskAssignment
from service.store.label_turns import Turn
from service.store.lookup import to_json

_ANNOTATOR: BindParameter[str] = bindparam("annotator")
_NOW: BindParameter[str] = bindparam("now")
_MOST: BindParameter[int] = bindparam("most")
_IS_LEASED = (TaskAssignment.state == "leased") & (TaskAssignment.leased_until > _NOW)
_ALIVE = (
    select(LabelTask, TaskAssignment)
    .join(TaskAssignment, TaskAssignment.task_id == LabelTask.id)
    .where(TaskAssignment.annotator_id == _ANNOTATOR, _IS_LEASED)
    .order_by(TaskAssignment.served)
    .limit(_MOST)
)
# Repeats of what this annotator answered, and those whose lease lapsed.
_DUE = (
    select(LabelTask)
    .join(TaskAssignment, TaskAssignment.task_id == LabelTask.id)
    .where(
        TaskAssignment.annotator_id == _ANNOTATOR,
        or_(
            TaskAssignment.state == "due",
            (TaskAssignment.state == "leased") & (TaskAssignment.leased_until <= _NOW),
        ),
        LabelTask.lane == "repeat",
    )
    .order_by(LabelTask.position)
    .limit(_MOST)
)


def _waiting_tasks(*conditions: ColumnElement[bool]) -> Select[LabelTask]:
    """Of one lane, by position: none that this annotator answered, skipped or holds."""
    mine = exists().where(
        TaskAssignment.task_id == LabelTask.id,
        TaskAssignment.annotator_id == _ANNOTATOR,
        or_(TaskAssignment.state != "leased", TaskAssignment.leased_until > _NOW),
    )
    of_lane = (LabelTask.label_project_id == bindparam("project"), LabelTask.lane == bindparam("lane"))
    return select(LabelTask).where(*of_lane, ~mine, *conditions).order_by(LabelTask.position).limit(_MOST)


_LEASED = select(func.count()).where(TaskAssignment.task_id == LabelTask.id, _IS_LEASED).scalar_subquery()
_WAITING = _waiting_tasks()
_WAITING_WITH_ROOM = _waiting_tasks(LabelTask.answered + _LEASED < bindparam("overlap"))


async def lease_next(turn: Turn, count: int) -> list[LeasedTask]:
    """The leases that are alive, in the order they were given, filled up to `count` with new ones; none once closed."""
    if turn.project.status != "open":
        return []
    alive = await _alive(turn, count)
    leases = [leased_task(task, lease) for task, lease in alive]
    if len(leases) < count:
        leases += await _lease(turn, await _choose(turn, count - len(leases)))
    return leases


async def _alive(turn: Turn, count: int) -> Sequence[tuple[LabelTask, TaskAssignment]]:
    asked = {"annotator": turn.annotator.id, "now": turn.now, "most": count}
    return [(task, lease) for task, lease in await turn.session.execute(_ALIVE, asked)]


async def _choose(turn: Turn, wanted: int) -> list[LabelTask]:
    """Up to `wanted` tasks for this annotator, in the order in which they are to be seen."""
    chosen = await _waiting(turn, "training", wanted) if turn.project.training_tasks else []
    room = await turn.budget_room()
    left = wanted - len(chosen) if room is None else min(wanted - len(chosen), room)
    if left <= 0:
        return chosen
    due = await _due(turn, left) if turn.project.repeats else []
    fresh = sorted([*await _waiting(turn, "open", left), *due], key=lambda task: task.position)
    gold_places = [n for n in range(left) if _is_gold_place(turn, len(chosen) + n)]
    gold = await _waiting(turn, "gold", len(gold_places)) if gold_places else []
    for n in range(left):
        if not fresh:  # gold measures an annotator beside real tasks: without those it has no use
            break
        chosen.append(gold.pop(0) if gold and n in gold_places else fresh.pop(0))
    return chosen


def _is_gold_place(turn: Turn, ahead: int) -> bool:
    """One place in each 1 / share of them, which differs between annotators so that nobody can tell it."""
    if not turn.project.gold_share:
        return False
    block = max(1, round(1 / turn.project.gold_share))
    number, place = divmod(turn.annotator.served + ahead, block)
    digest = hashlib.sha256(f"{turn.annotator.id} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % block == place


async def _waiting(turn: Turn, lane: str, limit: int) -> list[LabelTask]:
    """Tasks of the lane that this annotator may begin; of those for a number of people, none that is full."""
    asked = {
        "annotator": turn.annotator.id,
        "now": turn.now,
        "most": limit,
        "project": turn.project.id,
        "lane": lane,
    }
    if lane != "open":
        return list(await turn.session.scalars(_WAITING, asked))
    return list(await turn.session.scalars(_WAITING_WITH_ROOM, asked | {"overlap": turn.project.overlap}))


async def _due(turn: Turn, limit: int) -> list[LabelTask]:
    asked = {"annotator": turn.annotator.id, "now": turn.now, "most": limit}
    return list(await turn.session.scalars(_DUE, asked))


async def _lease(turn: Turn, tasks: list[LabelTask]) -> list[LeasedTask]:
    """Sides are shuffled at the first lease: a task that comes back looks as it did, with its draft."""
    if not tasks:
        return []
    mine = select(TaskAssignment).where(
        TaskAssignment.annotator_id == turn.annotator.id, TaskAssignment.task_id.in_([task.id for task in tasks])
    )
    there = {lease.task_id: lease for lease in await turn.session.scalars(mine)}
    leases = []
    for number, task in enumerate(tasks):
        lease = there.get(task.id)
        if lease is None:
            lease = new_assignment(turn, task)
            turn.session.add(lease)
        lease.state, lease.leased_until, lease.served = "leased", turn.until, turn.annotator.served + number
        leases.append(leased_task(task, lease))
    turn.annotator.served += len(tasks)
    return leases


def new_assignment(turn: Turn, task: LabelTask) -> TaskAssignment:
    """Due, with its sides shuffled."""
    order = list(range(len(texts(task.replies))))
    secrets.SystemRandom().shuffle(order)
    return TaskAssignment(
        task_id=task.id,
        annotator_id=turn.annotator.id,
        state="due",
        leased_until=turn.now,
        side_order=to_json([*order]),
        served=0,
        draft="",
    )

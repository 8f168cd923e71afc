"""Label projects: made with their tasks, which are leased to annotators, answered, and taken back."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Conflict, InvalidInput, NotFound
from service.store import label_answers, label_desks, label_leases
from service.store.annotators import Annotators, utc_now
from service.store.database import Database, new_id
from service.store.label_queue import TurnQueue
from service.store.label_records import (
    Answer,
    AskedPairs,
    Desk,
    LabelProjectRecord,
    LeasedTask,
    NewLabelProject,
    NewTask,
    ReplacedTasks,
    TaskLabel,
)
from service.store.label_routing import TaskRow, asked_pairs, insert_tasks, replace_unseen
from service.store.label_rows import conversation_json, lane_of, project_record, task_label
from service.store.label_tables import Annotator, LabelProject, LabelTask, TaskAssignment
from service.store.label_turns import lock_project
from service.store.lookup import find, page, to_json
from service.store.tables import Clock, Label


class LabelProjects(Annotators):
    """Label projects with their annotators, tasks and answers."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        super().__init__(database, clock)
        self._queue = TurnQueue(database, clock)

    async def create(self, new: NewLabelProject, tasks: Sequence[NewTask]) -> LabelProjectRecord:
        """With its tasks, which are given out in their order. Raises InvalidInput for none."""
        if not any(lane_of(task) == "open" for task in tasks):
            raise InvalidInput("a label project needs a task; its set has no pair for people")
        row = LabelProject(
            id=new_id("lpr"),
            project_id=new.project_id,
            name=new.name,
            guideline=new.guideline,
            principle_ids=to_json([*new.principle_ids]),
            constitution_id=new.constitution_id,
            preference_set_id=new.preference_set_id,
            run_id=new.run_id,
            overlap=new.overlap,
            gold_share=new.gold_share,
            budget_labels=new.budget_labels,
            tasks=len(tasks),
            training_tasks=sum(task.training for task in tasks),
            repeats=sum(lane_of(task) == "repeat" for task in tasks),
            open_tasks=sum(lane_of(task) == "open" for task in tasks),
            plan=to_json(new.plan),
        )
        rows = await asyncio.to_thread(_task_rows, row.id, tasks)
        async with self._db.write() as session:
            session.add(row)
            await session.flush()
            await insert_tasks(session, rows)
            return project_record(row)

    async def get(self, project_id: str, id_or_name: str) -> LabelProjectRecord:
        async with self._db.read() as session:
            return project_record(await find(session, LabelProject, project_id, id_or_name))

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[LabelProjectRecord]:
        async with self._db.read() as session:
            return [project_record(row) for row in await page(session, LabelProject, project_id, after, limit)]

    async def asked_pairs(self, project_id: str, id: str) -> AskedPairs:
        """Which pairs have tasks that another routing leaves alone."""
        async with self._db.read() as session:
            return await asked_pairs(session, (await find(session, LabelProject, project_id, id)).id)

    async def replace_unseen(self, project_id: str, id: str, tasks: Sequence[NewTask], most: int) -> ReplacedTasks:
        """Targeted tasks that nobody was given make way for the first of these; random and other ones stay.

        There are `most` of them then, training, gold and repeats not counted. Raises Conflict once closed.
        """
        rows = await asyncio.to_thread(_task_rows, id, tasks)
        async with self._db.write() as session:
            row = await _locked(session, project_id, id)
            if row.status != "open":
                raise Conflict(f"label project {row.name!r} is closed; make another one")
            dropped, added = await replace_unseen(session, row, rows, most)
            await session.flush()
            return ReplacedTasks(project_record(row), dropped, added)

    async def close(self, project_id: str, id: str) -> LabelProjectRecord:
        """Nothing more is leased or answered, for good. What was answered stays."""
        async with self._db.write() as session:
            row = await _locked(session, project_id, id)
            row.status = "closed"
            await session.flush()
            return project_record(row)

    async def delete(self, project_id: str, id: str, *, with_labels: bool = False) -> None:
        """With its annotators and tasks. Raises Conflict while people's labels depend on it, unless these go too."""
        async with self._db.write() as session:
            row = await _locked(session, project_id, id)
            of_this = Label.label_project_id == row.id
            used = select(Label.id).where(of_this, Label.undone_at.is_(None)).order_by(Label.id)
            if not with_labels and (labels := list(await session.scalars(used))):
                more = f" and {len(labels) - 1} more labels" if len(labels) > 1 else ""
                raise Conflict(
                    f"label project {row.id} has {labels[0]}{more}; delete it with_labels, or close it to keep them"
                )
            await session.execute(delete(Label).where(of_this))
            tasks = select(LabelTask.id).where(LabelTask.label_project_id == row.id)
            await session.execute(delete(TaskAssignment).where(TaskAssignment.task_id.in_(tasks)))
            await session.execute(delete(LabelTask).where(LabelTask.label_project_id == row.id))
            await session.execute(delete(Annotator).where(Annotator.label_project_id == row.id))
            await session.delete(row)

    async def next_tasks(self, annotator_id: str, count: int) -> Sequence[LeasedTask]:
        """Up to `count` tasks that this annotator holds from now on: those of before first. Empty when all is done."""
        return await self._queue.take(annotator_id, lambda turn: label_leases.lease_next(turn, count))

    async def desk(self, annotator_id: str, count: int) -> Desk:
        """What `next_tasks` gives, with the project and how far this annotator is in it."""
        return await self._queue.take(annotator_id, lambda turn: label_desks.desk(turn, count))

    async def submit(self, annotator_id: str, task_id: str, answer: Answer) -> TaskLabel:
        """Sent twice, it is there once: the second time gives the first label. See `change` for a change of mind.

        A lease that has lapsed still counts where the overlap and the budget have room, else Conflict.
        """
        return await self._queue.take(
            annotator_id, lambda turn: label_answers.submit(turn, task_id, answer), task_id=task_id
        )

    async def change(self, annotator_id: str, task_id: str, answer: Answer) -> TaskLabel:
        """The label of this answer in place of an earlier one's, which is taken back; a training answer stays.

        Raises Conflict where the project is closed, or others have taken a task that was skipped.
        """
        return await self._queue.take(
            annotator_id, lambda turn: label_answers.change(turn, task_id, answer), task_id=task_id
        )

    async def label_of(self, annotator_id: str, task_id: str) -> TaskLabel:
        """What this annotator answered. Raises NotFound where they did not."""
        query = (
            select(Label, LabelTask)
            .join(LabelTask, LabelTask.id == Label.task_id)
            .where(Label.annotator_id == annotator_id, Label.task_id == task_id.replace("\0", ""))
            .where(Label.undone_at.is_(None))
        )
        async with self._db.read() as session:
            row = (await session.execute(query)).first()
        if row is None:
            raise NotFound(f"there is no answer of this annotator to task {task_id!r}")
        return task_label(row[0], row[1])

    async def undo(self, annotator_id: str) -> LeasedTask | None:
        """Take back the annotator's last answer and lease its task again; None where there is none.

        Raises Conflict where that was a skip and others have taken the task since.
        """
        return await self._queue.take(annotator_id, label_answers.undo)

    async def save_draft(self, annotator_id: str, task_id: str, text: str) -> None:
        """Keep what was typed so far, and the lease with it."""
        await self._queue.take(
            annotator_id, lambda turn: label_answers.save_draft(turn, task_id, text), task_id=task_id
        )

    async def labels_of(
        self, project_id: str, label_project_id: str, after: str | None = None, limit: int = 20
    ) -> Sequence[TaskLabel]:
        """Up to `limit` + 1 answers, oldest first, skips too; not what was taken back."""
        async with self._db.read() as session:
            row = await find(session, LabelProject, project_id, label_project_id)
            query = (
                select(Label, LabelTask)
                .join(LabelTask, LabelTask.id == Label.task_id)
                .where(Label.label_project_id == row.id, Label.undone_at.is_(None))
                .order_by(Label.id)
                .limit(limit + 1)
            )
            if after:
                query = query.where(Label.id > after.replace("\0", "\uffff"))
            return [task_label(label, task) for label, task in await session.execute(query)]


async def _locked(session: AsyncSession, project_id: str, id_or_name: str) -> LabelProject:
    """The row, when nobody else changes it any more."""
    row = await find(session, LabelProject, project_id, id_or_name)
    await lock_project(session, row.id)
    await session.refresh(row)
    return row


def _task_rows(label_project_id: str, tasks: Sequence[NewTask]) -> list[TaskRow]:
    """One row a task, in order. Raises InvalidInput for a repeat of nothing."""
    rows: list[TaskRow] = []
    originals: dict[tuple[str, str | None], str] = {}
    for position, task in enumerate(tasks):
        id, lane = new_id("ltk"), lane_of(task)
        if lane == "open":
            originals.setdefault((task.pair_id, task.principle_id), id)
        elif lane == "repeat" and (task.pair_id, task.principle_id) not in originals:
            raise InvalidInput(f"task {position} repeats pair {task.pair_id!r}, which is not asked before it")
        rows.append(
            {
                "id": id,
                "label_project_id": label_project_id,
                "position": position,
                "lane": lane,
                "kind": task.kind,
                "pair_id": task.pair_id,
                "prompt": conversation_json(task.prompt),
                "replies": to_json([*task.replies]),
                "principle_id": task.principle_id,
                "routed_by": task.routed_by,
                "gold": task.gold,
                "judge_p_a": task.judge_p_a,
                "reason": task.reason,
                "p_sent": task.p_sent,
                "repeat_of": originals[task.pair_id, task.principle_id] if lane == "repeat" else None,
            }
        )
    return rows

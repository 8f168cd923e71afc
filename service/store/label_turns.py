"""An annotator's turn: one transaction in which nobody else of the label project leases or answers.

On Postgres that is a lock on the project's name, on SQLite there is one writer anyway. So what a turn counts stays so.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import NotAllowed
from service.store.label_tables import Annotator, LabelProject, LabelTask, TaskAssignment
from service.store.lookup import one_at_a_time


@dataclass(frozen=True, slots=True)
class Turn:
    """`now` and `until` are RFC 3339: when it is, and when a lease given now ends."""

    session: AsyncSession
    annotator: Annotator
    project: LabelProject
    now: str
    until: str

    async def people_on(self, task_id: str) -> int:
        """Who has answered the task or holds a lease that is alive, this annotator apart."""
        query = select(func.count()).where(
            TaskAssignment.task_id == task_id,
            TaskAssignment.annotator_id != self.annotator.id,
            (TaskAssignment.state == "answered")
            | ((TaskAssignment.state == "leased") & (TaskAssignment.leased_until > self.now)),
        )
        return await self.session.scalar(query) or 0

    async def budget_room(self) -> int | None:
        """How many more tasks may be leased before all labels of the budget are given or on their way."""
        if not self.project.budget_labels:
            return None
        on_their_way = (
            select(func.count())
            .select_from(TaskAssignment)
            .join(Annotator, Annotator.id == TaskAssignment.annotator_id)
            .join(LabelTask, LabelTask.id == TaskAssignment.task_id)
            .where(
                Annotator.label_project_id == self.project.id,
                TaskAssignment.state == "leased",
                TaskAssignment.leased_until > self.now,
                LabelTask.lane != "training",
            )
        )
        leased = await self.session.scalar(on_their_way) or 0
        return max(0, self.project.budget_labels - self.project.labels - leased)


async def lock_project(session: AsyncSession, label_project_id: str) -> None:
    """Nobody else leases or answers in the project before this transaction ends."""
    await one_at_a_time(session, f"label project {label_project_id}")


async def open_turn(session: AsyncSession, annotator_id: str, now: str, until: str) -> Turn:
    """Raises NotAllowed for an annotator who is unknown or was revoked."""
    label_project_id = await session.scalar(select(Annotator.label_project_id).where(Annotator.id == annotator_id))
    if label_project_id is not None:
        await lock_project(session, label_project_id)
        found = await session.execute(
            select(Annotator, LabelProject)
            .join(LabelProject, LabelProject.id == Annotator.label_project_id)
            .where(Annotator.id == annotator_id, Annotator.revoked_at.is_(None))
        )
        if (row := found.first()) is not None:
            return Turn(session, row[0], row[1], now, until)
    raise NotAllowed("this annotator is unknown or was revoked; ask for a new invitation")

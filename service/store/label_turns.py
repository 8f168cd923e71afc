"""An annotator's turn: one transaction in which nobody else of the label project leases or answers.

On Postgres that is a lock on the project's name, on SQLite there is one writer anyway. So what a turn counts stays so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import NotAllowed
from service.store.label_tables import Annotator, LabelProject, LabelTask, TaskAssignment
from service.store.lookup import one_at_a_time
from service.store.tables import Clock, rfc3339

LEASE_S = 20 * 60


@dataclass(frozen=True, slots=True)
class Turn:
    """`now` and `until` are RFC 3339: when it is, and when a lease given now ends.

    `read_ahead` keeps the rows of all turns of the transaction, so that `session.get` finds them without a query.
    """

    session: AsyncSession
    found: tuple[Annotator, LabelProject] | None
    now: str
    until: str
    read_ahead: list[object]

    def refuse_stranger(self) -> None:
        """Raises NotAllowed for an annotator who is unknown or was revoked."""
        if self.found is None or self.found[0].revoked_at is not None:
            raise NotAllowed("this annotator is unknown or was revoked; ask for a new invitation")

    @property
    def annotator(self) -> Annotator:
        assert self.found is not None
        return self.found[0]

    @property
    def project(self) -> LabelProject:
        assert self.found is not None
        return self.found[1]

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


async def open_turns(
    session: AsyncSession, annotator_ids: Sequence[str], task_ids: Sequence[str], clock: Clock
) -> dict[str, Turn]:
    """One for each annotator, known or not. The tasks of that id are read with these annotators' leases of them.

    The clock is read when nobody else can lease or answer any more.
    """
    people = [id for id in annotator_ids if "\0" not in id]
    tasks = [id for id in task_ids if "\0" not in id]
    projects = select(Annotator.label_project_id).where(Annotator.id.in_(people)).distinct()
    for id in sorted(await session.scalars(projects)):  # always in this order, so that no two wait for each other
        await lock_project(session, id)
    now = clock()
    found = await session.execute(
        select(Annotator, LabelProject)
        .join(LabelProject, LabelProject.id == Annotator.label_project_id)
        .where(Annotator.id.in_(people))
    )
    rows = {annotator.id: (annotator, project) for annotator, project in found}
    read_ahead: list[object] = []
    if tasks:
        leases = (
            select(LabelTask, TaskAssignment)
            .join(TaskAssignment, TaskAssignment.task_id == LabelTask.id)
            .where(TaskAssignment.task_id.in_(tasks), TaskAssignment.annotator_id.in_(people))
        )
        read_ahead += [tuple(row) for row in await session.execute(leases)]
    until = rfc3339(now + timedelta(seconds=LEASE_S))
    return {id: Turn(session, rows.get(id), rfc3339(now), until, read_ahead) for id in annotator_ids}

"""All that an annotator's page shows, in one turn: the project, their next tasks, how far they are, what is asked."""

from sqlalchemy import bindparam, func, select

from service.store.label_leases import lease_next
from service.store.label_records import Desk, Progress
from service.store.label_rows import project_record
from service.store.label_tables import LabelTask, TaskAssignment
from service.store.label_turns import Turn
from service.store.tables import Constitution

_DONE = (
    select(TaskAssignment.state, LabelTask.lane, func.count())
    .join(LabelTask, LabelTask.id == TaskAssignment.task_id)
    .where(TaskAssignment.annotator_id == bindparam("annotator"), TaskAssignment.state.in_(("answered", "skipped")))
    .group_by(TaskAssignment.state, LabelTask.lane)
)


async def desk(turn: Turn, count: int) -> Desk:
    """With up to `count` tasks."""
    progress = await _progress(turn)
    law = await _law(turn)
    tasks = await lease_next(turn, count)
    return Desk(project_record(turn.project), tuple(tasks), progress, law)


async def _progress(turn: Turn) -> Progress:
    """What this annotator did, and what is left for them."""
    found = await turn.session.execute(_DONE, {"annotator": turn.annotator.id})
    counts = [(state, lane, number) for state, lane, number in found]
    project, seen = turn.project, sum(number for _, lane, number in counts if lane in ("open", "training"))
    return Progress(
        done=sum(number for state, _, number in counts if state == "answered"),
        skipped=sum(number for state, _, number in counts if state == "skipped"),
        open_tasks=project.open_tasks + project.training_tasks - seen if project.status == "open" else 0,
        budget_left=max(0, project.budget_labels - project.labels) if project.budget_labels else None,
    )


async def _law(turn: Turn) -> str | None:
    if turn.project.constitution_id is None:
        return None
    law = await turn.session.get_one(Constitution, turn.project.constitution_id)
    turn.read_ahead.append(law)  # for the other turns of the transaction
    return law.source

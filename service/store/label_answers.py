"""Answers to tasks: submitted once, taken back by their annotator, and what each does to the task and its project."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Conflict, InvalidInput, NotFound
from service.store.database import new_id
from service.store.label_leases import new_assignment
from service.store.label_records import Answer, LeasedTask, TaskLabel
from service.store.label_rows import as_one_text, conversation, leased_task, numbers, task_label, texts
from service.store.label_tables import LabelProject, LabelTask, TaskAssignment
from service.store.label_turns import Turn, lock_project
from service.store.lookup import to_json
from service.store.tables import Label, now

_TAKES = {
    "compare": ("first", "second", "tie", "both_bad", "skip"),
    "rank": ("ranked", "both_bad", "skip"),
    "rewrite": ("rewritten", "skip"),
}


async def submit(turn: Turn, task_id: str, answer: Answer) -> TaskLabel:
    """The label; the first one where there is one already. Raises Conflict where the answer comes too late."""
    task, lease = await _assigned(turn, task_id)
    if lease.state in ("answered", "skipped"):
        return task_label(await _label_of(turn, task_id), task)
    _check(task, answer)
    await _refuse_late(turn, task, lease)
    label = _new_label(turn, task, lease, answer)
    turn.session.add(label)
    lease.state, lease.draft = ("skipped" if answer.choice == "skip" else "answered"), answer.draft
    if answer.choice != "skip":
        _count(task, turn.project, 1)
        await _make_repeats_due(turn, task)
    return task_label(label, task)


async def undo(turn: Turn) -> LeasedTask | None:
    """Take back the annotator's last answer and lease its task again; None where there is none.

    What was answered in training stays: its right answer has been told.
    """
    mine = (Label.annotator_id == turn.annotator.id) & Label.undone_at.is_(None)
    query = (
        select(Label)
        .join(LabelTask, LabelTask.id == Label.task_id)
        .where(mine, LabelTask.lane != "training")
        .order_by(Label.created_at.desc(), Label.id.desc())
        .limit(1)
    )
    label = await turn.session.scalar(query)
    if label is None or label.task_id is None:
        return None
    task, lease = await _assigned(turn, label.task_id)
    await _take_back(turn, label, task, lease)
    return leased_task(task, lease)


async def change(turn: Turn, task_id: str, answer: Answer) -> TaskLabel:
    """The answer in place of the one that there is, wherever that stands among the others; never in training."""
    task, lease = await _assigned(turn, task_id)
    if lease.state in ("answered", "skipped") and task.lane != "training":
        _check(task, answer)
        await _take_back(turn, await _label_of(turn, task_id), task, lease)
        await turn.session.flush()  # before the other one comes: a task has one answer of an annotator
    return await submit(turn, task_id, answer)


async def save_draft(turn: Turn, task_id: str, text: str) -> None:
    """Keep what was typed. Somebody who types is there: a lease that is alive begins anew."""
    _, lease = await _assigned(turn, task_id)
    if lease.state != "leased":
        raise Conflict(f"task {task_id} is answered; undo the answer to change it")
    lease.draft = text
    if lease.leased_until > turn.now:
        lease.leased_until = turn.until


async def give_back(session: AsyncSession, label: Label) -> None:
    """What a deleted label leaves: its task lacks an answer, and may be given to anybody."""
    if label.task_id is None or label.undone_at is not None or label.label_project_id is None:
        return
    await lock_project(session, label.label_project_id)
    as_it_is = select(Label).where(Label.id == label.id).execution_options(populate_existing=True)
    if (there := await session.scalar(as_it_is)) is None:
        raise NotFound(f"label {label.id} was deleted at the same moment")
    if there.undone_at is not None:
        return
    task = await session.get_one(LabelTask, label.task_id, populate_existing=True)
    project = await session.get_one(LabelProject, label.label_project_id, populate_existing=True)
    mine = (TaskAssignment.task_id == task.id) & (TaskAssignment.annotator_id == label.annotator_id)
    await session.execute(delete(TaskAssignment).where(mine))
    if label.choice != "skip":
        _count(task, project, -1)
        await _forget_repeats(session, task.id, label.annotator_id or "")


async def _take_back(turn: Turn, label: Label, task: LabelTask, lease: TaskAssignment) -> None:
    """The task is this annotator's again. Raises Conflict where it cannot be."""
    _refuse_closed(turn)
    if lease.state == "skipped":
        await _refuse_full(turn, task)
    else:
        _count(task, turn.project, -1)
        await _forget_repeats(turn.session, task.id, turn.annotator.id)
    label.undone_at = turn.now
    lease.state, lease.leased_until = "leased", turn.until


async def _assigned(turn: Turn, task_id: str) -> tuple[LabelTask, TaskAssignment]:
    """Without a query, where the turn has read them ahead."""
    known = "" if "\0" in task_id else task_id
    lease = await turn.session.get(TaskAssignment, (known, turn.annotator.id))
    if lease is None or lease.state == "due":
        raise NotFound(f"task {task_id!r} was not given to this annotator; ask for the next one")
    return await turn.session.get_one(LabelTask, known), lease


async def _label_of(turn: Turn, task_id: str) -> Label:
    query = select(Label).where(
        Label.task_id == task_id, Label.annotator_id == turn.annotator.id, Label.undone_at.is_(None)
    )
    return (await turn.session.scalars(query)).one()


def _check(task: LabelTask, answer: Answer) -> None:
    """Raises InvalidInput for an answer to another kind of task."""
    takes = _TAKES[task.kind]
    if answer.choice not in takes:
        raise InvalidInput(f"choice: a task to {task.kind} takes {', '.join(takes)}, not {answer.choice!r}")
    places = list(range(len(texts(task.replies)))) if answer.choice == "ranked" else []
    if sorted(answer.ranking) != places:
        raise InvalidInput(f"ranking: {list(answer.ranking)} instead of each of {places} once")
    if bool(answer.rewrite.strip()) != (answer.choice == "rewritten"):
        raise InvalidInput("rewrite: the better text, and nothing with any choice but `rewritten`")
    if answer.choice == "rewritten" and _lines(answer.rewrite) == _lines(texts(task.replies)[0]):
        raise InvalidInput("rewrite: this is the reply as it stands; change it, or skip the task")


def _lines(text: str) -> list[str]:
    """A form's line ends are not the reply's own."""
    return text.strip().splitlines()


async def _refuse_late(turn: Turn, task: LabelTask, lease: TaskAssignment) -> None:
    _refuse_closed(turn)
    if lease.leased_until > turn.now:
        return
    await _refuse_full(turn, task)


def _refuse_closed(turn: Turn) -> None:
    if turn.project.status != "open":
        raise Conflict(f"label project {turn.project.name!r} is closed; thank you")


async def _refuse_full(turn: Turn, task: LabelTask) -> None:
    """For a task that this annotator holds no lease of that is alive."""
    if task.lane in ("open", "done") and await turn.people_on(task.id) >= turn.project.overlap:
        raise Conflict("the lease of this task has ended, and others have taken it meanwhile; go on to the next one")
    if task.lane != "training" and await turn.budget_room() == 0:
        raise Conflict("the lease of this task has ended, and the budget of labels is used up meanwhile; thank you")


def _new_label(turn: Turn, task: LabelTask, lease: TaskAssignment, answer: Answer) -> Label:
    order, replies = numbers(lease.side_order), texts(task.replies)
    choice: str = answer.choice
    if answer.choice in ("first", "second"):
        choice = "ab"[order[0 if answer.choice == "first" else 1]]
    return Label(
        id=new_id("lbl"),
        project_id=turn.annotator.project_id,
        created_at=now(),
        annotator=turn.annotator.id,
        prompt=as_one_text(conversation(task.prompt)),
        a=replies[0],
        b=replies[1] if len(replies) > 1 else "",
        choice=choice,
        principle_id=task.principle_id,
        comment=answer.comment,
        label_project_id=turn.project.id,
        task_id=task.id,
        annotator_id=turn.annotator.id,
        seconds=answer.seconds,
        side_order=lease.side_order,
        ranking=to_json([order[place] for place in answer.ranking]),
        rewrite=answer.rewrite,
    )


def _count(task: LabelTask, project: LabelProject, step: int) -> None:
    """One answer more or less: the task is done once it has as many as the overlap, and open again below."""
    was_done = task.lane == "done"
    task.answered += step
    if task.lane in ("open", "done"):
        task.lane = "done" if task.answered >= project.overlap else "open"
        project.open_tasks += int(was_done) - int(task.lane == "done")
    if task.lane != "training":
        project.labels += step


async def _make_repeats_due(turn: Turn, task: LabelTask) -> None:
    """But for one that this annotator answered before, when an earlier answer to the task was taken back."""
    if not turn.project.repeats:
        return
    there = select(TaskAssignment.task_id).where(TaskAssignment.annotator_id == turn.annotator.id)
    waiting = select(LabelTask).where(LabelTask.repeat_of == task.id, LabelTask.id.not_in(there))
    turn.session.add_all([new_assignment(turn, repeat) for repeat in await turn.session.scalars(waiting)])


async def _forget_repeats(session: AsyncSession, task_id: str, annotator_id: str) -> None:
    """The repeat of an answer that is no more; one that was answered itself stays."""
    repeats = select(LabelTask.id).where(LabelTask.repeat_of == task_id)
    await session.execute(
        delete(TaskAssignment).where(
            TaskAssignment.annotator_id == annotator_id,
            TaskAssignment.task_id.in_(repeats),
            TaskAssignment.state.in_(("due", "leased")),
        )
    )

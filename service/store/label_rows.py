"""Rows of label projects as records, and what of a record is JSON in its row."""

import json

from judges.records import Conversation, Message
from service.store.label_records import AnnotatorRecord, LabelProjectRecord, LeasedTask, NewTask, TaskLabel
from service.store.label_tables import Annotator, LabelProject, LabelTask, TaskAssignment
from service.store.lookup import json_object, to_json
from service.store.tables import Label


def numbers(text: str | None) -> tuple[int, ...]:
    """Places, as `to_json` wrote them."""
    return tuple(json.loads(text or "[]"))


def texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def conversation_json(turns: Conversation) -> str:
    return to_json([[turn.role, turn.content] for turn in turns])


def conversation(text: str) -> Conversation:
    return tuple(Message(role, content) for role, content in json.loads(text))


def as_one_text(turns: Conversation) -> str:
    """A lone turn as it stands, several under their roles: for lists of labels, which show a prompt as a text."""
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns)


def lane_of(task: NewTask) -> str:
    """How a new task is handed out: see `label_tables`."""
    if task.training:
        return "training"
    return task.routed_by if task.routed_by in ("gold", "repeat") else "open"


def project_record(row: LabelProject) -> LabelProjectRecord:
    return LabelProjectRecord(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        status=row.status,  # type: ignore[arg-type]
        guideline=row.guideline,
        principle_ids=texts(row.principle_ids),
        constitution_id=row.constitution_id,
        preference_set_id=row.preference_set_id,
        run_id=row.run_id,
        overlap=row.overlap,
        budget_labels=row.budget_labels,
        gold_share=row.gold_share,
        tasks=row.tasks,
        open_tasks=row.open_tasks,
        labels=row.labels,
        created_at=row.created_at,
        plan=json_object(row.plan),
    )


def annotator_record(row: Annotator) -> AnnotatorRecord:
    return AnnotatorRecord(row.id, row.project_id, row.label_project_id, row.name, row.created_at, row.revoked_at)


def leased_task(task: LabelTask, lease: TaskAssignment) -> LeasedTask:
    """The task as the annotator of the lease sees it."""
    order, replies = numbers(lease.side_order), texts(task.replies)
    return LeasedTask(
        id=task.id,
        kind=task.kind,  # type: ignore[arg-type]
        prompt=conversation(task.prompt),
        replies=tuple(replies[place] for place in order),
        order=order,
        principle_id=task.principle_id,
        training=task.lane == "training",
        leased_until=lease.leased_until,
        draft=lease.draft,
    )


def task_label(label: Label, task: LabelTask) -> TaskLabel:
    return TaskLabel(
        label_id=label.id,
        task_id=task.id,
        label_project_id=task.label_project_id,
        annotator_id=label.annotator_id or "",
        kind=task.kind,  # type: ignore[arg-type]
        pair_id=task.pair_id,
        prompt=conversation(task.prompt),
        replies=texts(task.replies),
        principle_id=task.principle_id,
        routed_by=task.routed_by,  # type: ignore[arg-type]
        gold=task.gold,  # type: ignore[arg-type]
        training=task.lane == "training",
        judge_p_a=task.judge_p_a,
        choice=label.choice,  # type: ignore[arg-type]
        order=numbers(label.side_order),
        ranking=numbers(label.ranking),
        rewrite=label.rewrite or "",
        comment=label.comment,
        seconds=label.seconds or 0.0,
        created_at=label.created_at,
        reason=task.reason,
        p_sent=task.p_sent,
    )

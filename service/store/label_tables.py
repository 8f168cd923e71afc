"""The tables of label projects. `tables.Label` holds the answers.

A task's `lane` says how it is handed out: `training` first and to everybody, `open` while its overlap has room and
`done` when it has none, `gold` to everybody at each one's share, `repeat` to those who answered `repeat_of`.
"""

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables import Id, OfProject, Sha, Table, now


class LabelProject(OfProject, Table):
    """`principle_ids` and `plan` are JSON. `labels` counts answers but for training and skips; `open_tasks` are those
    in lane open.
    """

    __tablename__ = "label_project"
    name: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16), default="open")
    guideline: Mapped[str] = mapped_column(Text)
    principle_ids: Mapped[str] = mapped_column(Text)
    constitution_id: Mapped[str | None] = mapped_column(Id, ForeignKey("constitution.id"), index=True)
    preference_set_id: Mapped[str | None] = mapped_column(Id, ForeignKey("preference_set.id"), index=True)
    run_id: Mapped[str | None] = mapped_column(Id, ForeignKey("run.id"), index=True)
    overlap: Mapped[int]
    gold_share: Mapped[float]
    budget_labels: Mapped[int]
    tasks: Mapped[int]
    training_tasks: Mapped[int]
    repeats: Mapped[int]
    open_tasks: Mapped[int]
    labels: Mapped[int] = mapped_column(default=0)
    plan: Mapped[str] = mapped_column(Text)


class Annotator(OfProject, Table):
    """Somebody who was invited. `served` counts the tasks that were leased to them."""

    __tablename__ = "annotator"
    label_project_id: Mapped[str] = mapped_column(Id, ForeignKey("label_project.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(128))
    invitation_sha256: Mapped[str] = mapped_column(Sha, unique=True)
    revoked_at: Mapped[str | None] = mapped_column(String(32))
    served: Mapped[int] = mapped_column(default=0)


class AnnotatorSession(Table):
    """One browser in which somebody entered: its secret's SHA-256."""

    __tablename__ = "annotator_session"
    secret_sha256: Mapped[str] = mapped_column(Sha, primary_key=True)
    annotator_id: Mapped[str] = mapped_column(Id, ForeignKey("annotator.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[str] = mapped_column(String(32), default=now)
    expires_at: Mapped[str] = mapped_column(String(32))


class LabelTask(Table):
    """A question to people. `prompt` and `replies` are JSON; `answered` counts the answers but for skips."""

    __tablename__ = "label_task"
    __table_args__ = (Index("ix_label_task_label_project_id_lane_position", "label_project_id", "lane", "position"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    label_project_id: Mapped[str] = mapped_column(Id, ForeignKey("label_project.id", ondelete="CASCADE"))
    position: Mapped[int]
    lane: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    pair_id: Mapped[str] = mapped_column(String(128))
    prompt: Mapped[str] = mapped_column(Text)
    replies: Mapped[str] = mapped_column(Text)
    principle_id: Mapped[str | None] = mapped_column(String(64))
    routed_by: Mapped[str] = mapped_column(String(16))
    gold: Mapped[str | None] = mapped_column(String(16))
    judge_p_a: Mapped[float | None]
    reason: Mapped[str] = mapped_column(Text)
    repeat_of: Mapped[str | None] = mapped_column(Id, index=True)
    answered: Mapped[int] = mapped_column(default=0)
    p_sent: Mapped[float | None]


class TaskAssignment(Table):
    """One annotator and one task. `state` is due (a repeat that waits), leased, answered or skipped.

    `side_order` is JSON; `served` is its number among the annotator's tasks: the order in which they see them.
    """

    __tablename__ = "task_assignment"
    __table_args__ = (Index("ix_task_assignment_annotator_id_state", "annotator_id", "state"),)
    task_id: Mapped[str] = mapped_column(Id, ForeignKey("label_task.id", ondelete="CASCADE"), primary_key=True)
    annotator_id: Mapped[str] = mapped_column(Id, ForeignKey("annotator.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    leased_until: Mapped[str] = mapped_column(String(32))
    side_order: Mapped[str] = mapped_column(String(64))
    served: Mapped[int]
    draft: Mapped[str] = mapped_column(Text, default="")

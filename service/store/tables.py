"""The tables. Rows never leave this package: callers get the frozen records of `records.py`.

Every row belongs to a project. Bulk data lies in the artifact store; here stand its keys.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Clock = Callable[[], datetime]


def rfc3339(time: datetime) -> str:
    """In UTC, to the microsecond, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def now() -> str:
    return rfc3339(datetime.now(UTC))


class Table(DeclarativeBase):
    """Constraints have names, so that migrations can change them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


Id = String(64)
Sha = String(64)


class Project(Table):
    """A tenant."""

    __tablename__ = "project"
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[str] = mapped_column(String(32), default=now)


class OfProject:
    """What every other resource has."""

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    project_id: Mapped[str] = mapped_column(Id, ForeignKey("project.id"), index=True)
    created_at: Mapped[str] = mapped_column(String(32), default=now)


class ApiKey(OfProject, Table):
    """A key's SHA-256, never the key."""

    __tablename__ = "api_key"
    name: Mapped[str] = mapped_column(String(64))
    secret_sha256: Mapped[str] = mapped_column(Sha, unique=True)
    scopes: Mapped[str] = mapped_column(String(64))
    revoked_at: Mapped[str | None] = mapped_column(String(32))


class Constitution(OfProject, Table):
    """One immutable version."""

    __tablename__ = "constitution"
    __table_args__ = (UniqueConstraint("project_id", "name", "version"), UniqueConstraint("project_id", "sha256"))
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[str] = mapped_column(Sha)
    canonical: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)


class PromptSet(OfProject, Table):
    """Prompts, as Parquet in the artifact store."""

    __tablename__ = "prompt_set"
    name: Mapped[str] = mapped_column(String(128))
    sha256: Mapped[str] = mapped_column(Sha)
    artifact: Mapped[str] = mapped_column(String(255))
    train: Mapped[int]
    held_out: Mapped[int]


class PreferenceSet(OfProject, Table):
    """Preference rows, as Parquet in the artifact store. `counts` and `report` are JSON."""

    __tablename__ = "preference_set"
    name: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(Sha)
    artifact: Mapped[str] = mapped_column(String(255))
    rows: Mapped[int]
    report: Mapped[str] = mapped_column(Text, default="{}")
    run_id: Mapped[str | None] = mapped_column(Id, ForeignKey("run.id"), index=True)


class Model(OfProject, Table):
    """A base model on disk, or an endpoint."""

    __tablename__ = "model"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    name: Mapped[str] = mapped_column(String(128))
    path: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    served_name: Mapped[str] = mapped_column(String(255))
    api_key_env: Mapped[str | None] = mapped_column(String(128))
    sha256: Mapped[str | None] = mapped_column(Sha)
    context_tokens: Mapped[int]
    licence: Mapped[str] = mapped_column(String(128), default="")


class Run(OfProject, Table):
    """A run. `last_seq` numbers its events."""

    __tablename__ = "run"
    request: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), index=True)
    error: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=1)
    started_at: Mapped[str | None] = mapped_column(String(32))
    finished_at: Mapped[str | None] = mapped_column(String(32))
    last_seq: Mapped[int] = mapped_column(default=0)
    constitution_id: Mapped[str] = mapped_column(Id, ForeignKey("constitution.id"), index=True)
    prompts_id: Mapped[str] = mapped_column(Id, ForeignKey("prompt_set.id"), index=True)
    held_out_id: Mapped[str | None] = mapped_column(Id, ForeignKey("prompt_set.id"), index=True)
    human_id: Mapped[str | None] = mapped_column(Id, index=True)  # a preference set; those point to runs themselves
    model_id: Mapped[str] = mapped_column(Id, ForeignKey("model.id"), index=True)
    judge_id: Mapped[str] = mapped_column(Id, ForeignKey("model.id"), index=True)
    reward_adapter_id: Mapped[str | None] = mapped_column(Id, index=True)  # adapters point to runs themselves
    gold_id: Mapped[str | None] = mapped_column(Id, index=True)  # a preference set, as `human_id`


class StageResult(Table):
    """What a finished stage left behind, once."""

    __tablename__ = "stage_result"
    run_id: Mapped[str] = mapped_column(Id, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(16), primary_key=True)
    result: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]
    at: Mapped[str] = mapped_column(String(32), default=now)


class Event(Table):
    """Numbered from 1 without gaps within its run."""

    __tablename__ = "event"
    run_id: Mapped[str] = mapped_column(Id, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str | None] = mapped_column(String(16))
    type: Mapped[str] = mapped_column(String(16))
    at: Mapped[str] = mapped_column(String(32), default=now)
    done: Mapped[int | None]
    total: Mapped[int | None]
    eta_s: Mapped[float | None]
    data: Mapped[str] = mapped_column(Text, default="{}")


class Adapter(OfProject, Table):
    """A bundle. A run has one without a `last_good_step`, at most, and one a step at which its training failed."""

    __tablename__ = "adapter"
    __table_args__ = (UniqueConstraint("run_id", "name"),)
    run_id: Mapped[str] = mapped_column(Id, ForeignKey("run.id"))
    name: Mapped[str] = mapped_column(String(128))
    artifact: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(Sha)
    bytes: Mapped[int]
    manifest: Mapped[str] = mapped_column(Text)
    last_good_step: Mapped[int | None]


class Label(OfProject, Table):
    """One person's answer: about two replies, or to a task of a label project. `side_order` and `ranking` are JSON.

    What an annotator took back stays, with `undone_at`; a task has one answer of each annotator beside those.
    """

    __tablename__ = "label"
    __table_args__ = (
        Index("ix_label_label_project_id_id", "label_project_id", "id"),
        Index("ix_label_annotator_id_created_at", "annotator_id", "created_at"),
        Index(
            "uq_label_task_id_annotator_id",
            *("task_id", "annotator_id"),
            unique=True,
            sqlite_where=text("undone_at IS NULL"),
            postgresql_where=text("undone_at IS NULL"),
        ),
    )
    annotator: Mapped[str] = mapped_column(String(128))
    prompt: Mapped[str] = mapped_column(Text)
    a: Mapped[str] = mapped_column(Text)
    b: Mapped[str] = mapped_column(Text)
    choice: Mapped[str] = mapped_column(String(16))
    principle_id: Mapped[str | None] = mapped_column(String(64))
    comment: Mapped[str] = mapped_column(Text, default="")
    label_project_id: Mapped[str | None] = mapped_column(Id)
    task_id: Mapped[str | None] = mapped_column(Id, ForeignKey("label_task.id"), index=True)
    annotator_id: Mapped[str | None] = mapped_column(Id, ForeignKey("annotator.id"))
    seconds: Mapped[float | None]
    side_order: Mapped[str | None] = mapped_column(String(64))
    ranking: Mapped[str | None] = mapped_column(String(64))
    rewrite: Mapped[str | None] = mapped_column(Text)
    undone_at: Mapped[str | None] = mapped_column(String(32))


class Idempotency(Table):
    """The answer that a repeated POST gets again."""

    __tablename__ = "idempotency"
    project_id: Mapped[str] = mapped_column(Id, ForeignKey("project.id"), primary_key=True)
    route: Mapped[str] = mapped_column(String(128), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(Sha)
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[str] = mapped_column(String(32), default=now)


class ExecutorLease(Table):
    """A living worker; one that lets it lapse is dead, and its runs are taken over."""

    __tablename__ = "executor_lease"
    executor_id: Mapped[str] = mapped_column(Id, primary_key=True)
    expires_at: Mapped[float]


Index("ix_idempotency_created_at", Idempotency.created_at)

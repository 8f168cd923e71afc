"""What the API answers: resources as JSON, and lists of them."""

from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, JsonValue

from service.schemas import RunRequest, RunStatus, Stage
from service.store.records import EventType

Item = TypeVar("Item")
# Postgres takes no NUL in a text.
NO_NUL = r"^[^\x00]*$"
After = Annotated[str | None, Query(max_length=64, description="The last id of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]


class Wire(BaseModel):
    """Reads the store's records."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool


class Finding(Wire):
    """Advice of the linter."""

    severity: str
    code: str
    principle_id: str | None
    message: str


class ConstitutionBody(Wire):
    id: str
    name: str
    version: str
    sha256: str
    created_at: str
    source: str
    findings: list[Finding] = []


class PromptSetBody(Wire):
    id: str
    name: str
    sha256: str
    train: int
    held_out: int
    created_at: str


class PreferenceSetBody(Wire):
    id: str
    name: str
    kind: str
    sha256: str
    rows: int
    run_id: str | None
    report: dict[str, JsonValue]
    created_at: str


class ModelBody(Wire):
    """`api_key_env` names the variable that holds the endpoint's key; the key itself is not known here."""

    id: str
    name: str
    path: str | None
    url: str | None
    served_name: str
    api_key_env: str | None
    sha256: str | None
    context_tokens: int
    licence: str
    created_at: str


class RunBody(Wire):
    id: str
    status: RunStatus
    error: str | None
    attempt: int
    request: RunRequest
    created_at: str
    started_at: str | None
    finished_at: str | None


class EventBody(Wire):
    """`id` is the run's id and the event's number; resume a stream after `seq` with Last-Event-ID."""

    id: str
    seq: int
    run: str
    stage: Stage | None
    type: EventType
    at: str
    done: int | None
    total: int | None
    eta_s: float | None
    data: dict[str, JsonValue]


class AdapterBody(Wire):
    """`last_good_step` is the step it is of where the training failed after it; null where that came to its end."""

    id: str
    run_id: str
    name: str
    sha256: str
    bytes: int
    last_good_step: int | None
    created_at: str


class LabelBody(Wire):
    """`a` and `b` are in the task's own order where it answers one (`task_id`)."""

    id: str
    annotator: str
    prompt: str
    a: str
    b: str
    choice: str
    principle_id: str | None
    comment: str
    created_at: str
    task_id: str | None


class KeyBody(Wire):
    """`secret` is shown once, when the key is made. `revoked_at` is null while the key opens."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None = None
    secret: str | None = None


class Deleted(BaseModel):
    """It is gone."""

    id: str
    deleted: Literal[True] = True


def page_of(items: list[Item], limit: int) -> Page[Item]:
    """A page from up to `limit` + 1 items."""
    return Page(data=items[:limit], has_more=len(items) > limit)

"""What the store hands out: frozen values, one a resource. Times are RFC 3339 in UTC."""

from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from service.schemas import RunRequest, RunStatus, Stage

EventType = Literal["stage", "progress", "metric", "warning", "error"]
JsonObject = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """`scopes` of read, write, admin. The secret itself is not stored. `revoked_at` is None while the key opens."""

    id: str
    project_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    revoked_at: str | None


@dataclass(frozen=True, slots=True)
class ConstitutionRecord:
    id: str
    project_id: str
    name: str
    version: str
    sha256: str
    canonical: str
    source: str
    created_at: str


@dataclass(frozen=True, slots=True)
class PromptSetRecord:
    """`artifact` is the key of a Parquet file of `judges.records.Prompt`."""

    id: str
    project_id: str
    name: str
    sha256: str
    artifact: str
    train: int
    held_out: int
    created_at: str


# The pairs that a run's mix took out, since people and the machine differ on them: all rows on them, as they came.
REVIEW_KIND = "review"
# The kind of a set in which every row has one reply.
DEMONSTRATIONS_KIND = "demonstrations"


@dataclass(frozen=True, slots=True)
class PreferenceSetRecord:
    """`artifact` is the key of a Parquet file of `training.rows.PreferenceRow`.

    The kind is human, mixed, review or demonstrations.
    """

    id: str
    project_id: str
    name: str
    kind: str
    sha256: str
    artifact: str
    rows: int
    report: JsonObject
    run_id: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A folder (`path`) or an OpenAI-compatible endpoint (`url`); `api_key_env` names the variable with its key."""

    id: str
    project_id: str
    name: str
    path: str | None
    url: str | None
    served_name: str
    api_key_env: str | None
    sha256: str | None
    context_tokens: int
    licence: str
    created_at: str


@dataclass(frozen=True, slots=True)
class RunReferences:
    """The ids behind the names in a run's request."""

    constitution_id: str
    prompts_id: str
    held_out_id: str | None
    human_id: str | None
    model_id: str
    judge_id: str
    reward_adapter_id: str | None = None
    gold_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    id: str
    project_id: str
    request: RunRequest
    references: RunReferences
    status: RunStatus
    error: str | None
    attempt: int
    created_at: str
    started_at: str | None
    finished_at: str | None


@dataclass(frozen=True, slots=True)
class StageRecord:
    stage: Stage
    result: JsonObject
    seconds: float
    at: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """What the writer knows of an event; the store adds its number and time."""

    stage: Stage | None
    type: EventType
    done: int | None = None
    total: int | None = None
    eta_s: float | None = None
    data: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    run_id: str
    seq: int
    stage: Stage | None
    type: EventType
    at: str
    done: int | None
    total: int | None
    eta_s: float | None
    data: JsonObject


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """`artifact` is the key of the tar.gz; `sha256` and `bytes` are its own.

    `last_good_step` is the step that it is of where the training failed after it; None where that came to its end.
    """

    id: str
    project_id: str
    run_id: str
    name: str
    artifact: str
    sha256: str
    bytes: int
    manifest: JsonObject
    created_at: str
    last_good_step: int | None = None


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """`task_id` where it answers a task of a label project; a task of one reply has an empty `b`."""

    id: str
    project_id: str
    annotator: str
    prompt: str
    a: str
    b: str
    choice: str
    principle_id: str | None
    comment: str
    created_at: str
    task_id: str | None = None

"""The client's calls about label projects, as a part of `service.client.Client`."""

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import JsonValue, TypeAdapter

from service.errors import ServiceError
from service.labelling.figures import QualityReport
from service.labelling.schemas import LabelProjectRequest

Item = TypeVar("Item")
_PATH = "/v1/label-projects"


@dataclass(frozen=True, slots=True)
class RoutingAsked:
    """Which pairs go to people, as it was asked for; see `service.labelling.schemas.Routing`."""

    policy: Literal["all", "random", "uncertain"]
    budget_labels: int | None
    budget_minutes: float | None
    seconds_per_label: float
    random_share: float


@dataclass(frozen=True, slots=True)
class LabelProject:
    """`open_tasks` lack answers; `labels` are those given so far; `left_out_replies` are in no ranking."""

    id: str
    name: str
    status: str
    kind: Literal["compare", "rank", "rewrite"]
    routing: RoutingAsked
    overlap: int
    tasks: int
    open_tasks: int
    labels: int
    left_out_replies: int
    created_at: str


@dataclass(frozen=True, slots=True)
class Rerouted:
    """`dropped` tasks made way for `added` ones, by `labelled` pairs of the random part.

    `shown`: these bear out which way the judge's beliefs point, else the rest was drawn at random.
    """

    project: LabelProject
    labelled: int
    shown: bool
    dropped: int
    added: int
    seconds_per_label: float | None


@dataclass(frozen=True, slots=True)
class Annotator:
    id: str
    label_project_id: str
    name: str
    created_at: str
    revoked_at: str | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """`url` is a path of the service: send it to that person alone."""

    annotator: Annotator
    url: str


@dataclass(frozen=True, slots=True)
class TaskLabel:
    """An answer with its task. `replies`, `choice` and `ranking` are in the task's own order, `order` is the page's."""

    id: str
    task_id: str
    annotator_id: str
    kind: str
    pair_id: str
    prompt: list[JsonValue]
    replies: list[str]
    principle_id: str | None
    routed_by: str
    p_sent: float | None
    gold: str | None
    training: bool
    judge_p_a: float | None
    choice: str
    order: list[int]
    ranking: list[int]
    rewrite: str
    comment: str
    seconds: float
    created_at: str


@dataclass(frozen=True, slots=True)
class GatheredSet:
    """A preference set made of a label project's answers."""

    id: str
    name: str
    kind: str
    rows: int
    report: dict[str, JsonValue]
    created_at: str


@dataclass(frozen=True, slots=True)
class RevisionPrompts:
    """A prompt set of those of which somebody said that all replies are bad: `train` of them."""

    id: str
    name: str
    train: int
    created_at: str


class Calls(Protocol):
    """What of the client these calls are made with."""

    def _get(self, path: str, parameters: dict[str, str | int] | None = None) -> JsonValue: ...

    def _post(self, path: str, body: JsonValue) -> JsonValue: ...

    def _all(self, path: str, kind: type[Item]) -> Iterator[Item]: ...

    def delete(self, path: str) -> None: ...


class LabelProjectCalls:
    """Label projects: make, invite, route again, read, gather, have revised, close, delete."""

    def create_label_project(self: Calls, request: LabelProjectRequest) -> LabelProject:
        """Pairs of a preference set or of a run become tasks."""
        body = request.model_dump(mode="json", exclude_unset=True)
        return TypeAdapter(LabelProject).validate_python(self._post(_PATH, body))

    def label_projects(self: Calls) -> Iterator[LabelProject]:
        return self._all(_PATH, LabelProject)

    def label_project(self: Calls, id: str) -> LabelProject:
        return TypeAdapter(LabelProject).validate_python(self._get(_path(id)))

    def invite(self: Calls, id: str, name: str) -> Invitation:
        """The link is told once. Raises ServiceError where the connection broke just then, and it is lost."""
        answer = self._post(f"{_path(id)}/invitations", {"name": name})
        if isinstance(answer, dict) and answer["url"] is None:
            raise ServiceError(f"{name!r} is invited, but the link was lost on its way; revoke them and invite again")
        return TypeAdapter(Invitation).validate_python(answer)

    def annotators(self: Calls, id: str) -> Iterator[Annotator]:
        return self._all(f"{_path(id)}/annotators", Annotator)

    def revoke_annotator(self: Calls, id: str, annotator: str) -> None:
        """By id or name: invitation and sessions end, labels stay."""
        self.delete(f"{_path(id)}/annotators/{urllib.parse.quote(annotator, safe='')}")

    def route_labels_again(self: Calls, id: str) -> Rerouted:
        """Choose the tasks that nobody has seen anew, by what labels of the random part have shown."""
        return TypeAdapter(Rerouted).validate_python(self._post(f"{_path(id)}/route", None))

    def label_quality(self: Calls, id: str) -> QualityReport:
        """Agreement, each annotator, and the judge as one more annotator."""
        return TypeAdapter(QualityReport).validate_python(self._get(f"{_path(id)}/quality"))

    def task_labels(self: Calls, id: str) -> Iterator[TaskLabel]:
        """Every answer in the order in which they came, skips and training too; not what was taken back."""
        return self._all(f"{_path(id)}/labels", TaskLabel)

    def gather_labels(
        self: Calls,
        id: str,
        *,
        name: str = "labels",
        aggregate: bool = False,
        weights: Literal["equal", "measured"] = "equal",
        add_to: str | None = None,
    ) -> GatheredSet:
        """A human preference set of the answers so far, ready for `mix.human`; after the rows of the set `add_to`."""
        body: dict[str, JsonValue] = {"name": name, "aggregate": aggregate, "weights": weights, "add_to": add_to}
        answer = self._post(f"{_path(id)}/preference-set", body)
        return TypeAdapter(GatheredSet).validate_python(answer)

    def prompts_to_revise(self: Calls, id: str, *, name: str = "to revise") -> RevisionPrompts:
        """A prompt set for a run that revises: the prompts of which somebody said that all replies are bad."""
        return TypeAdapter(RevisionPrompts).validate_python(self._post(f"{_path(id)}/prompt-set", {"name": name}))

    def close_label_project(self: Calls, id: str) -> LabelProject:
        return TypeAdapter(LabelProject).validate_python(self._post(f"{_path(id)}/close", None))

    def delete_label_project(self: Calls, id: str, *, with_labels: bool = False) -> None:
        """Refused while it has labels, unless these are deleted too; sets that were made of them keep their rows."""
        self.delete(f"{_path(id)}?with_labels={str(with_labels).lower()}")


def _path(id: str) -> str:
    """An id or name is one segment of the path, whatever stands in it."""
    return f"{_PATH}/{urllib.parse.quote(id, safe='')}"

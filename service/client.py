"""The Python client: the REST API as typed calls. Errors carry the service's own words.

    with Client("http://127.0.0.1:8080", api_key="ck_...") as client:
        run = client.create_run(request)
        for event in client.follow(run.id): ...

Every POST carries an Idempotency-Key, and is sent again where the connection broke before its answer came: the service
carries it out once. Left out: waiting for a service that was not there in the first place.
"""

import contextlib
import hashlib
import json
import time
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx
from pydantic import JsonValue, TypeAdapter

from service.errors import ServiceError
from service.exchange.examination import Examination
from service.label_client import LabelProjectCalls
from service.schemas import UNCHANGED, QualifyRequest, ResumeRequest, RunRequest, RunStatus, Stage

Item = TypeVar("Item")
JsonObject = dict[str, JsonValue]
_FINISHED: tuple[RunStatus, ...] = ("succeeded", "failed", "cancelled")
_RECONNECTS, _PAUSE_S = 60, 1.0
_REPEATS = 10


class ApiError(ServiceError):
    """The service refused. `status` is HTTP's; the message is the problem's detail, `problems` each place to mend."""

    def __init__(self, status: int, detail: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.problems = problems


class Unreachable(ServiceError):
    """Nobody answers at the service's address, or the connection broke."""


@dataclass(frozen=True, slots=True)
class Constitution:
    id: str
    name: str
    version: str
    sha256: str
    created_at: str
    findings: list[JsonObject]


@dataclass(frozen=True, slots=True)
class PromptSet:
    id: str
    name: str
    sha256: str
    train: int
    held_out: int
    created_at: str


@dataclass(frozen=True, slots=True)
class PreferenceSet:
    id: str
    name: str
    kind: str
    rows: int
    sha256: str
    report: JsonObject
    created_at: str


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    name: str
    path: str | None
    url: str | None
    sha256: str | None
    context_tokens: int
    created_at: str


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    status: RunStatus
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """`eta_s` is in seconds."""

    seq: int
    stage: Stage | None
    type: Literal["stage", "progress", "metric", "warning", "error"]
    at: str
    done: int | None
    total: int | None
    eta_s: float | None
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Adapter:
    id: str
    run_id: str
    name: str
    sha256: str
    bytes: int
    last_good_step: int | None  # None where the training came to its end, and did not fail after this step
    created_at: str


class Client(LabelProjectCalls):
    """One service, at `url`, and one key. Use as a context manager; not for several threads at once."""

    def __init__(self, url: str, *, api_key: str, timeout_s: float = 120.0) -> None:
        headers = {"Authorization": f"Bearer {api_key}"}
        self.url = url.rstrip("/")
        # A service on this machine is not behind the user's proxy.
        direct = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, mounts=direct)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def add_constitution(self, text: bytes, *, filename: str = "constitution.yaml") -> Constitution:
        """Post YAML or JSON."""
        answer = self._upload("/v1/constitutions", text, {"filename": filename})
        return TypeAdapter(Constitution).validate_python(answer)

    def constitutions(self) -> Iterator[Constitution]:
        return self._all("/v1/constitutions", Constitution)

    def qualify(self, constitution: str, request: QualifyRequest) -> Examination:
        """Examine a judge by URL on the constitution's examples, and on people's pairs; takes as long as it answers."""
        answer = self._post(f"/v1/constitutions/{constitution}/qualify", request.model_dump(mode="json"))
        return Examination.model_validate(answer)

    def delete_constitution(self, id: str) -> None:
        self._delete("constitutions", id)

    def add_prompts(self, file: Path, *, name: str | None = None) -> PromptSet:
        """Upload JSONL, CSV or Parquet."""
        answer = self._upload("/v1/prompt-sets", file.read_bytes(), {"filename": file.name, "name": name})
        return TypeAdapter(PromptSet).validate_python(answer)

    def prompt_sets(self) -> Iterator[PromptSet]:
        return self._all("/v1/prompt-sets", PromptSet)

    def delete_prompts(self, id: str) -> None:
        self._delete("prompt-sets", id)

    def add_preferences(
        self, file: Path, *, name: str | None = None, format: str | None = None, skip_broken: bool = False
    ) -> PreferenceSet:
        """Upload pairs in any of the formats; .gz is unpacked by the service."""
        parameters = {"filename": file.name.removesuffix(".gz"), "name": name, "format": format}
        parameters["skip_broken"] = "true" if skip_broken else None
        answer = self._upload("/v1/preference-sets", file.read_bytes(), parameters)
        return TypeAdapter(PreferenceSet).validate_python(answer)

    def export_preferences(self, id: str, file: Path, *, format: str = "charter", kind: str = "jsonl") -> int:
        """Save a set as jsonl, json, csv or parquet. Returns how many rows the format cannot hold."""
        headers = self._save(f"/v1/preference-sets/{id}/export", file, {"format": format, "as": kind})
        return int(headers["X-Left-Out"])

    def preference_report(self, id: str, asked: dict[str, str | int]) -> JsonValue:
        """A set's counts; with `full` its coverage, bias, duplicates and leakage."""
        return self._get(f"/v1/preference-sets/{id}/report", asked)

    def preference_sets(self) -> Iterator[PreferenceSet]:
        return self._all("/v1/preference-sets", PreferenceSet)

    def delete_preferences(self, id: str) -> None:
        self._delete("preference-sets", id)

    def add_model(
        self,
        *,
        name: str,
        path: Path | None = None,
        url: str | None = None,
        served_name: str | None = None,
        api_key_env: str | None = None,
        context_tokens: int | None = None,
        licence: str = "",
    ) -> Model:
        """Register a model folder on the service's machine, or an endpoint and what that calls the model."""
        body: JsonObject = {"name": name, "api_key_env": api_key_env, "url": url, "served_name": served_name}
        body |= {"context_tokens": context_tokens, "licence": licence}
        body["path"] = None if path is None else str(path.absolute())
        return TypeAdapter(Model).validate_python(self._post("/v1/models", body))

    def models(self) -> Iterator[Model]:
        return self._all("/v1/models", Model)

    def delete_model(self, id: str) -> None:
        self._delete("models", id)

    def plan_run(self, request: RunRequest) -> JsonValue:
        """What the run would cost, without starting it."""
        return self._post("/v1/runs?dry_run=true", request.model_dump(mode="json"))

    def create_run(self, request: RunRequest) -> Run:
        return TypeAdapter(Run).validate_python(self._post("/v1/runs", request.model_dump(mode="json")))

    def get_run(self, id: str) -> Run:
        return TypeAdapter(Run).validate_python(self._get(f"/v1/runs/{id}"))

    def runs(self) -> Iterator[Run]:
        return self._all("/v1/runs", Run)

    def cancel_run(self, id: str) -> Run:
        return TypeAdapter(Run).validate_python(self._post(f"/v1/runs/{id}/cancel", None))

    def resume_run(self, id: str, changes: ResumeRequest = UNCHANGED) -> Run:
        answer = self._post(f"/v1/runs/{id}/resume", changes.model_dump(mode="json"))
        return TypeAdapter(Run).validate_python(answer)

    def delete_run(self, id: str) -> None:
        self._delete("runs", id)

    def report(self, id: str) -> JsonObject:
        return TypeAdapter(JsonObject).validate_python(self._get(f"/v1/runs/{id}/report"))

    def follow(self, id: str, after: int = 0) -> Iterator[Event]:
        """Every event once, until the run is over. A broken stream is taken up again after the last event seen."""
        failures = 0
        while True:
            try:
                # The status first: a stream that ends early, but cleanly, is then read on and not taken for the end.
                finished, seen = self.get_run(id).status in _FINISHED, after
                for event in self._stream(id, after):
                    after, failures = event.seq, 0
                    yield event
                if finished and after == seen:
                    return
            except Unreachable:
                failures += 1
                if failures > _RECONNECTS:
                    raise
                time.sleep(_PAUSE_S)

    def adapters(self) -> Iterator[Adapter]:
        return self._all("/v1/adapters", Adapter)

    def adapter_of(self, run_id: str) -> Adapter:
        """The adapter that a run made once it was trained. Raises ServiceError where it made none."""
        for adapter in self.adapters():
            if adapter.run_id == run_id and adapter.last_good_step is None:
                return adapter
        raise ServiceError(f"run {run_id} made no adapter; look at its status")

    def download_adapter(self, id: str, file: Path) -> None:
        """Save the bundle (tar.gz)."""
        self._save(f"/v1/adapters/{id}/download", file, {})

    def delete_adapter(self, id: str) -> None:
        self._delete("adapters", id)

    def delete(self, path: str) -> None:
        """Delete any other resource, such as /v1/labels/lbl_..."""
        with self._reaching():
            response = self._http.delete(path)
        self._answer(response)

    def _delete(self, kind: str, id: str) -> None:
        """An id or name is one segment of the path, whatever stands in it."""
        self.delete(f"/v1/{kind}/{urllib.parse.quote(id, safe='')}")

    def _stream(self, id: str, after: int) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx.Timeout(30.0, read=60.0)
        path = f"/v1/runs/{id}/events"
        with self._reaching(), self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                response.read()
                self._answer(response)
            for line in _lines(response.iter_bytes()):
                if line.startswith(b"data: "):
                    yield TypeAdapter(Event).validate_json(line.removeprefix(b"data: "))

    def _all(self, path: str, kind: type[Item]) -> Iterator[Item]:
        after: str | None = None
        while True:
            page = self._get(path, {"limit": 100} | ({"after": after} if after else {}))
            rows = page["data"] if isinstance(page, dict) and isinstance(page["data"], list) else []
            for row in rows:
                yield TypeAdapter(kind).validate_python(row)
            if not isinstance(page, dict) or not page["has_more"]:
                return
            after = str(rows[-1]["id"]) if isinstance(rows[-1], dict) else None

    def _get(self, path: str, parameters: dict[str, str | int] | None = None) -> JsonValue:
        with self._reaching():
            response = self._http.get(path, params=parameters)
        return self._answer(response)

    def _post(self, path: str, body: JsonValue) -> JsonValue:
        return self._send(self._http.build_request("POST", path, json=body))

    def _upload(self, path: str, data: bytes, parameters: dict[str, str | None]) -> JsonValue:
        given = {name: value for name, value in parameters.items() if value is not None}
        headers = {"Content-Type": "application/octet-stream"}
        return self._send(self._http.build_request("POST", path, content=data, params=given, headers=headers))

    def _send(self, request: httpx.Request) -> JsonValue:
        """Send until an answer comes; only the first time must the service be there."""
        request.headers["Idempotency-Key"] = uuid.uuid4().hex
        for repeat in range(_REPEATS + 1):
            try:
                with self._reaching():
                    response = self._http.send(request)
                return self._answer(response)
            except Unreachable as error:
                if repeat == _REPEATS or (repeat == 0 and isinstance(error.__cause__, httpx.ConnectError)):
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError("the last repeat returns or raises")

    def _save(self, path: str, file: Path, parameters: dict[str, str]) -> httpx.Headers:
        """Write the answer's body and return its headers; the file is complete or absent.

        Raises ServiceError where the body's hash is another than was told.
        """
        part = file.with_name(f"{file.name}.part")
        digest = hashlib.sha256()
        try:
            # The file first: where it cannot be written, nothing is asked for.
            with (
                part.open("wb") as out,
                self._reaching(),
                self._http.stream("GET", path, params=parameters) as response,
            ):
                if response.is_error:
                    response.read()
                    self._answer(response)
                for chunk in response.iter_bytes():
                    digest.update(chunk)
                    out.write(chunk)
            if response.headers.get("X-Sha256", digest.hexdigest()) != digest.hexdigest():
                raise ServiceError(f"{path}: the bytes that came do not have the hash that was told; try again")
            part.replace(file)
            return response.headers
        finally:
            part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            said = (
                f"the service at {self._http.base_url} cannot be reached ({error}); is `charter serve` running there?"
            )
            raise Unreachable(said) from error

    def _answer(self, response: httpx.Response) -> JsonValue:
        """The JSON of an answer. Raises ApiError with the problem's detail."""
        try:
            value: JsonValue = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            said = f"{self._http.base_url} answered {response.status_code} without JSON; is that the service's address?"
            raise ApiError(response.status_code, said) from error
        if not response.is_error:
            return value
        told = value if isinstance(value, dict) else {}
        detail = str(told.get("detail") or f"the service answered {response.status_code} without why")
        problems = told.get("errors")
        places = tuple(map(str, problems)) if isinstance(problems, list) else ()
        raise ApiError(response.status_code, detail, places)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines end with a line feed alone: a text may hold U+2028 and its like, at which httpx's own reader would cut."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole

"""Labels: one person's answer about two replies, by POST; and a preference set made of them."""

import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from judges.records import Message
from service.api.guard import RepeatableRoute
from service.api.state import BackendHere, KeyHere
from service.api.wire import NO_NUL, After, Deleted, LabelBody, Limit, Page, PreferenceSetBody, page_of
from service.errors import InvalidInput
from service.exchange.formats.pair import Pair
from service.exchange.preferences import human_row
from service.shards import to_parquet
from service.store.records import LabelRecord, PreferenceSetRecord
from training.rows import PreferenceRow

router = APIRouter(prefix="/v1/labels", tags=["labels"], route_class=RepeatableRoute)
Text = Annotated[str, Field(min_length=1, max_length=200_000, pattern=NO_NUL)]


class NewLabel(BaseModel):
    """A tie stays as p = 0.5; `both_bad` makes no pair, a `skip` makes nothing."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"annotator": "ann_1", "prompt": "Why is the sky blue?", "a": "Air.", "b": "Magic.", "choice": "a"}
            ]
        },
    )
    annotator: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")]
    prompt: Text
    a: Text
    b: Text
    choice: Literal["a", "b", "tie", "both_bad", "skip"]
    principle_id: Annotated[str, Field(max_length=64, pattern=NO_NUL)] | None = None
    comment: Annotated[str, Field(max_length=4000, pattern=NO_NUL)] = ""


class FromLabels(BaseModel):
    """Which labels become a preference set: all, or one annotator's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "may", "annotator": "ann_1"}]})
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}$")] = "labels"
    annotator: str | None = None


@router.post("", status_code=201, operation_id="create_label")
async def create(new: NewLabel, backend: BackendHere, key: KeyHere) -> LabelBody:
    """Send an Idempotency-Key, so that a label sent twice counts once."""
    record = LabelRecord(id="", project_id=key.project_id, created_at="", **new.model_dump())
    return LabelBody.model_validate(await backend.store.labels.add(record))


@router.get("", operation_id="list_labels")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[LabelBody]:
    """Oldest first."""
    records = await backend.store.labels.list(key.project_id, after, limit)
    return page_of([LabelBody.model_validate(record) for record in records], limit)


@router.delete("/{id}", operation_id="delete_label")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Preference sets made of it before keep their rows."""
    await backend.store.labels.delete(key.project_id, id)
    return Deleted(id=id)


@router.post("/preference-set", status_code=201, operation_id="create_preference_set_from_labels")
async def gather(chosen: FromLabels, backend: BackendHere, key: KeyHere) -> PreferenceSetBody:
    """A human preference set of all labels so far, ready for `mix.human`."""
    rows: dict[str, PreferenceRow] = {}
    after: str | None = None
    while labels := (await backend.store.labels.list(key.project_id, after, 500))[:500]:
        after = labels[-1].id
        for label in labels:
            if label.choice in ("a", "b", "tie") and chosen.annotator in (None, label.annotator) and label.a != label.b:
                row = _row(label)
                rows[row.id] = row
    if not rows:
        raise InvalidInput("no label names a winner or a tie yet; post some to /v1/labels")
    data = to_parquet(list(rows.values()), PreferenceRow)
    digest = hashlib.sha256(data).hexdigest()
    artifact = f"preferences/{digest}.parquet"
    await backend.artifacts.put_new(artifact, data)
    record = PreferenceSetRecord(
        id="",
        project_id=key.project_id,
        name=chosen.name,
        kind="human",
        sha256=digest,
        artifact=artifact,
        rows=len(rows),
        report={"rows": len(rows), "human": len(rows)},
        run_id=None,
        created_at="",
    )
    return PreferenceSetBody.model_validate(await backend.store.preference_sets.add(record))


def _row(label: LabelRecord) -> PreferenceRow:
    winner, loser = (label.b, label.a) if label.choice == "b" else (label.a, label.b)
    p_chosen = 0.5 if label.choice == "tie" else 1.0
    pair = Pair((Message("user", label.prompt),), winner, loser, p_chosen, 1.0, (label.annotator,))
    return human_row(pair, f"label {label.id}")

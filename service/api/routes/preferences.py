"""Preference sets: import people's pairs, page through rows, export, report, delete."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import JsonValue

from service.api.guard import RepeatableRoute
from service.api.state import Backend, BackendHere, KeyHere
from service.api.uploads import FORM, read_upload, resource_name
from service.api.wire import After, Deleted, Limit, Page, PreferenceSetBody, page_of
from service.errors import InvalidInput, NotFound
from service.exchange.messages import as_json
from service.exchange.preferences import Format, holds, read_preferences, write_preferences
from service.shards import from_parquet, to_parquet
from service.store.records import PreferenceSetRecord
from training.mix import effective_sample_size
from training.rows import PreferenceRow

router = APIRouter(prefix="/v1/preference-sets", tags=["preference sets"], route_class=RepeatableRoute)
_EXAMPLE = (
    '{"prompt": "Why is the sky blue?", "chosen": "Air scatters blue light most.", "rejected": "Great question!"}\n'
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/jsonl": {"schema": {"type": "string"}, "example": _EXAMPLE},
            "application/gzip": {"schema": {"type": "string", "format": "binary"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": FORM,
        },
    }
}
_EXPORT: dict[int | str, dict[str, Any]] = {200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}}


@router.post("", status_code=201, openapi_extra=_BODY, operation_id="create_preference_set")
async def create(
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    name: Annotated[str | None, Query(max_length=128)] = None,
    format: Annotated[Format | None, Query(description="Told from the first line where it is not given.")] = None,
) -> PreferenceSetBody:
    """Import people's pairs. A broken row refuses the file, with the line of every fault; nothing is stored then."""
    upload = await read_upload(request, backend.settings.max_upload_mb * 1_000_000)
    origin = upload.filename or "upload"
    format = format or _format(upload.format)
    # Large files take long: other requests are answered meanwhile.
    rows = await asyncio.to_thread(read_preferences, upload.data, upload.filename, upload.content_type, format, origin)
    data = await asyncio.to_thread(to_parquet, rows, PreferenceRow)
    digest = hashlib.sha256(data).hexdigest()
    artifact = f"preferences/{digest}.parquet"
    await backend.artifacts.put_new(artifact, data)
    record = PreferenceSetRecord(
        id="",
        project_id=key.project_id,
        name=resource_name(upload.name or name, upload.filename, "preferences"),
        kind="human" if all(row.source == "human" for row in rows) else "mixed",
        sha256=digest,
        artifact=artifact,
        rows=len(rows),
        report=_report(rows),
        run_id=None,
        created_at="",
    )
    return PreferenceSetBody.model_validate(await backend.store.preference_sets.add(record))


@router.get("", operation_id="list_preference_sets")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[PreferenceSetBody]:
    """Oldest first."""
    records = await backend.store.preference_sets.list(key.project_id, after, limit)
    return page_of([PreferenceSetBody.model_validate(record) for record in records], limit)


@router.get("/{id}", operation_id="get_preference_set")
async def get(id: str, backend: BackendHere, key: KeyHere) -> PreferenceSetBody:
    """By id, or the newest of a name."""
    return PreferenceSetBody.model_validate(await backend.store.preference_sets.get(key.project_id, id))


@router.get("/{id}/rows", operation_id="list_preference_rows")
async def rows(id: str, backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> JSONResponse:
    """The rows in their order, as pages; `after` is a row's id."""
    found = await _rows(backend, key.project_id, id)
    start = _place_of(after, found) + 1 if after else 0
    page = [row_body(row) for row in found[start : start + limit]]
    return JSONResponse({"object": "list", "data": page, "has_more": start + limit < len(found)})


@router.get("/{id}/export", operation_id="export_preference_set", responses=_EXPORT, response_class=StreamingResponse)
async def export(id: str, backend: BackendHere, key: KeyHere, format: Format = "charter") -> StreamingResponse:
    """All rows as JSONL. Only the format `charter` keeps beliefs, weights and sources.

    A row that the format cannot hold (a tie, say, or a system turn) is left out; X-Left-Out tells how many.
    """
    found = await _rows(backend, key.project_id, id)
    left_out = sum(not holds(format, row) for row in found)
    headers = {"Content-Disposition": f'attachment; filename="{id}.{format}.jsonl"', "X-Left-Out": str(left_out)}
    lines: Iterator[str] = write_preferences(found, format)
    return StreamingResponse(lines, media_type="application/jsonl", headers=headers)


@router.get("/{id}/report", operation_id="report_preference_set")
async def report(id: str, backend: BackendHere, key: KeyHere) -> dict[str, JsonValue]:
    """Sources, weights, prompts, ties and the effective sample size; of a run's set also how it was mixed."""
    record = await backend.store.preference_sets.get(key.project_id, id)
    return _report(await _rows(backend, key.project_id, id)) | record.report


@router.delete("/{id}", operation_id="delete_preference_set")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Refused while a run uses it, or made it."""
    await backend.store.preference_sets.delete(key.project_id, id)
    return Deleted(id=id)


def row_body(row: PreferenceRow) -> dict[str, JsonValue]:
    """A row as the API shows it."""
    return {
        "id": row.id,
        "prompt_id": row.prompt_id,
        "prompt": as_json(row.prompt),
        "chosen": row.chosen,
        "rejected": row.rejected,
        "p_chosen": row.p_chosen,
        "weight": row.weight,
        "source": row.source,
        "judge": row.judge,
        "annotators": list(row.annotators),
        "constitution_sha256": row.constitution_sha256,
        "per_principle": dict(row.per_principle),
        "origin": row.origin,
    }


def _place_of(id: str, rows: Sequence[PreferenceRow]) -> int:
    """Raises NotFound: from the first page again, a client that follows `after` would never end."""
    for index, row in enumerate(rows):
        if row.id == id:
            return index
    raise NotFound(f"after: there is no row {id!r} in this set")


def _format(asked: str | None) -> Format | None:
    """A form's field. Raises InvalidInput that lists what there is."""
    for known in get_args(Format):
        if asked == known:
            format: Format = known
            return format
    if asked is not None:
        raise InvalidInput(f"format: {asked!r} is not known; take one of {', '.join(get_args(Format))}")
    return None


async def _rows(backend: Backend, project_id: str, id: str) -> tuple[PreferenceRow, ...]:
    record = await backend.store.preference_sets.get(project_id, id)
    return from_parquet(await backend.artifacts.get(record.artifact), PreferenceRow)


def _report(rows: Sequence[PreferenceRow]) -> dict[str, JsonValue]:
    sources = [row.source for row in rows]
    return {
        "rows": len(rows),
        "human": sources.count("human"),
        "ai": sources.count("ai"),
        "check": sources.count("check"),
        "prompts": len({row.prompt_id for row in rows}),
        "annotators": len({name for row in rows for name in row.annotators}),
        "ties": sum(row.p_chosen == 0.5 for row in rows),
        "effective_sample_size": effective_sample_size(rows),
    }

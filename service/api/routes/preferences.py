"""Preference sets: import pairs, page through rows, export, report, delete. Sets of millions are read in parts."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import JsonValue

from service.api.guard import RepeatableRoute
from service.api.state import Backend, BackendHere, KeyHere
from service.api.uploads import FORM, read_upload, resource_name
from service.api.wire import After, Deleted, Limit, Page, PreferenceSetBody, page_of
from service.demonstrations import refuse_demonstrations
from service.errors import InvalidInput
from service.exchange.export import MEDIA_TYPES, FileKind, left_out, stored_chunks
from service.exchange.formats.registry import FORMATS, LAYOUTS, Format
from service.exchange.importing import import_preferences
from service.exchange.messages import as_json
from service.exchange.preferences import PreferenceFile
from service.preference_rows import PreferenceRows, RowFilter
from service.store.records import PreferenceSetRecord
from training.rows import PreferenceRow, Source

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
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()}}
}
Unsure = Annotated[
    float | None, Query(ge=0, le=0.5, description="Only rows whose belief is at most this far from one half.")
]
SkipBroken = Annotated[bool, Query(description="Skip lines that cannot be read, and name them in the report.")]


@router.post("", status_code=201, openapi_extra=_BODY, operation_id="create_preference_set")
async def create(
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    name: Annotated[str | None, Query(max_length=128)] = None,
    format: Annotated[Format | None, Query(description="Told from the first line where it is not given.")] = None,
    skip_broken: SkipBroken = False,
) -> PreferenceSetBody:
    """Import pairs, or demonstrations. A broken row refuses the file, with the line of every fault.

    With `skip_broken` such lines are left out.
    """
    upload = await read_upload(request, backend.settings.max_upload_mb * 1_000_000)
    format = format or _format(upload.format)
    file = PreferenceFile(upload.data, upload.filename, upload.content_type, format, upload.filename or "upload")
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        path = Path(folder) / "rows.parquet"
        # Large files take long: other requests are answered meanwhile.
        imported = await asyncio.to_thread(import_preferences, file, path, skip_broken=skip_broken)
        artifact = f"preferences/{imported.sha256}.parquet"
        await backend.artifacts.put_file(artifact, path)
    record = PreferenceSetRecord(
        id="",
        project_id=key.project_id,
        name=resource_name(upload.name or name, upload.filename, "preferences"),
        kind=imported.kind,
        sha256=imported.sha256,
        artifact=artifact,
        rows=imported.rows,
        report=imported.report,
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
async def rows(
    id: str,
    backend: BackendHere,
    key: KeyHere,
    after: After = None,
    limit: Limit = 20,
    source: Source | None = None,
    principle: Annotated[str | None, Query(max_length=64, description="Only rows that it has an answer for.")] = None,
    unsure: Unsure = None,
) -> JSONResponse:
    """The rows in their order, as pages; `after` is a row's id. Filters: source, principle, unsure."""
    stored = await _stored(backend, key.project_id, id)
    page = await asyncio.to_thread(stored.page, after, limit, RowFilter(source, principle, unsure))
    return JSONResponse({"object": "list", "data": [row_body(row) for row in page.rows], "has_more": page.has_more})


@router.get("/{id}/export", operation_id="export_preference_set", responses=_EXPORT, response_class=StreamingResponse)
async def export(
    id: str,
    backend: BackendHere,
    key: KeyHere,
    format: Format = "charter",
    kind: Annotated[FileKind, Query(alias="as", description="The kind of file.")] = "jsonl",
) -> StreamingResponse:
    """All rows as a file. What a format loses of a row stands in docs/exchange.md; `charter` loses nothing.

    A row that the format cannot hold (a tie, say, or a system turn) is left out; X-Left-Out tells how many.
    """
    if format not in ("charter", "demonstrations"):
        refuse_demonstrations(await backend.store.preference_sets.get(key.project_id, id), f"format {format}")
    stored = await _stored(backend, key.project_id, id)
    without = await asyncio.to_thread(_left_out, stored, format)
    headers = {"Content-Disposition": f'attachment; filename="{id}.{format}.{kind}"', "X-Left-Out": str(without)}
    chunks = stored_chunks(stored, format, kind)
    return StreamingResponse(chunks, media_type=MEDIA_TYPES[kind], headers=headers)


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
        "tags": dict(row.tags),
    }


def _format(asked: str | None) -> Format | None:
    """A form's field. Raises InvalidInput that lists what there is."""
    for known in FORMATS:
        if asked == known:
            return known
    if asked is not None:
        raise InvalidInput(f"format: {asked!r} is not known; take one of {', '.join(FORMATS)}")
    return None


async def _stored(backend: Backend, project_id: str, id: str) -> PreferenceRows:
    record = await backend.store.preference_sets.get(project_id, id)
    file = await backend.artifacts.open(record.artifact)
    return await asyncio.to_thread(PreferenceRows, file)


def _left_out(stored: PreferenceRows, format: Format) -> int:
    """Counted before the first byte goes out: headers come first."""
    if format == "charter":
        return 0
    return stored.ties() if LAYOUTS[format].only_ties else left_out(stored.batches(), format)

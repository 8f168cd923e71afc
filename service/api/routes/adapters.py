"""Adapters: list, download, manifest, delete."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import JsonValue

from service.api.guard import RepeatableRoute
from service.api.state import BackendHere, KeyHere
from service.api.wire import AdapterBody, After, Deleted, Limit, Page, page_of

router = APIRouter(prefix="/v1/adapters", tags=["adapters"], route_class=RepeatableRoute)


@router.get("", operation_id="list_adapters")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[AdapterBody]:
    """Oldest first; each names the run that made it."""
    records = await backend.store.adapters.list(key.project_id, after, limit)
    return page_of([AdapterBody.model_validate(record) for record in records], limit)


@router.get("/{id}", operation_id="get_adapter")
async def get(id: str, backend: BackendHere, key: KeyHere) -> AdapterBody:
    """By id, or the newest of a name."""
    return AdapterBody.model_validate(await backend.store.adapters.get(key.project_id, id))


@router.get("/{id}/download", operation_id="download_adapter", response_class=StreamingResponse)
async def download(id: str, backend: BackendHere, key: KeyHere) -> StreamingResponse:
    """The bundle (tar.gz): PEFT adapter, manifest, model card, report. Its sha256 stands in the header X-Sha256."""
    record = await backend.store.adapters.get(key.project_id, id)
    chunks = await backend.artifacts.stream(record.artifact)
    headers = {
        "Content-Disposition": f'attachment; filename="{record.name}.tar.gz"',
        "Content-Length": str(record.bytes),
        "X-Sha256": record.sha256,
    }
    return StreamingResponse(chunks, media_type="application/gzip", headers=headers)


@router.get("/{id}/manifest", operation_id="get_manifest")
async def manifest(id: str, backend: BackendHere, key: KeyHere) -> dict[str, JsonValue]:
    """The hashes of everything that shaped it."""
    return (await backend.store.adapters.get(key.project_id, id)).manifest


@router.delete("/{id}", operation_id="delete_adapter")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Its file goes with `charter gc`. Refused while there is a run that goes on from it or is scored by it."""
    await backend.store.adapters.delete(key.project_id, id)
    return Deleted(id=id)

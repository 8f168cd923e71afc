"""Prompt sets: upload JSONL, CSV or Parquet; read; delete."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from service.api.guard import RepeatableRoute
from service.api.state import BackendHere, KeyHere
from service.api.uploads import FORM, read_upload, resource_name
from service.api.wire import After, Deleted, Limit, Page, PromptSetBody, page_of
from service.exchange.prompts import read_prompts
from service.prompt_sets import add_prompt_set

router = APIRouter(prefix="/v1/prompt-sets", tags=["prompt sets"], route_class=RepeatableRoute)
_EXAMPLE = (
    '{"prompt": "How do I boil an egg?", "split": "train"}\n{"prompt": "Why is the sky blue?", "split": "held_out"}\n'
)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/jsonl": {"schema": {"type": "string"}, "example": _EXAMPLE},
            "text/csv": {"schema": {"type": "string"}, "example": "prompt,split\nWhy is the sky blue?,train\n"},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": FORM,
        },
    }
}


@router.post("", status_code=201, openapi_extra=_BODY, operation_id="create_prompt_set")
async def create(
    request: Request, backend: BackendHere, key: KeyHere, name: Annotated[str | None, Query(max_length=128)] = None
) -> PromptSetBody:
    """One prompt a line: `{"prompt": str or messages, "id"?, "split"?: train or held_out, "tags"?}`."""
    upload = await read_upload(request, backend.settings.max_upload_mb * 1_000_000)
    # Large files take long: other requests are answered meanwhile.
    prompts = await asyncio.to_thread(read_prompts, upload.data, upload.filename, upload.content_type)
    given = resource_name(upload.name or name, upload.filename, "prompts")
    made = await add_prompt_set(backend.store, backend.artifacts, key.project_id, given, prompts)
    return PromptSetBody.model_validate(made)


@router.get("", operation_id="list_prompt_sets")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[PromptSetBody]:
    """Oldest first."""
    records = await backend.store.prompt_sets.list(key.project_id, after, limit)
    return page_of([PromptSetBody.model_validate(record) for record in records], limit)


@router.get("/{id}", operation_id="get_prompt_set")
async def get(id: str, backend: BackendHere, key: KeyHere) -> PromptSetBody:
    """By id, or the newest of a name."""
    return PromptSetBody.model_validate(await backend.store.prompt_sets.get(key.project_id, id))


@router.delete("/{id}", operation_id="delete_prompt_set")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Refused while a run uses it."""
    await backend.store.prompt_sets.delete(key.project_id, id)
    return Deleted(id=id)

"""Base models and judges: folders on the service's machine, or OpenAI-compatible endpoints. Needs the scope admin."""

import asyncio
import os
import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service.api.guard import RepeatableRoute
from service.api.state import BackendHere, KeyHere
from service.api.wire import NO_NUL, After, Deleted, Limit, ModelBody, Page, page_of
from service.errors import InvalidInput
from service.model_folder import declared_context
from service.names import ModelName, VariableName
from service.store.records import ModelRecord
from training.weights import model_sha256

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=RepeatableRoute)
_URL = re.compile(r"https?://[^/@\s\x00]+(/[^\s\x00]*)?")


class NewModel(BaseModel):
    """Give `path` (a folder that transformers can load) or `url` (with `served_name`, what it calls the model)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "judge", "url": "https://judge.example/v1", "served_name": "judge-70b"}]
        },
    )
    name: ModelName
    path: Annotated[str, Field(max_length=4096, pattern=NO_NUL)] | None = None
    url: Annotated[str, Field(max_length=4096, pattern=NO_NUL)] | None = None
    served_name: Annotated[str, Field(min_length=1, max_length=255, pattern=NO_NUL)] | None = None
    api_key_env: VariableName | None = None
    context_tokens: Annotated[int, Field(ge=16, le=10_000_000)] | None = None
    licence: Annotated[str, Field(max_length=128, pattern=NO_NUL)] = ""


@router.post("", status_code=201, operation_id="create_model")
async def create(new: NewModel, backend: BackendHere, key: KeyHere) -> ModelBody:
    """Register a base model or a judge. A folder's weights are hashed, so that an adapter names its base for good."""
    if (new.path is None) == (new.url is None):
        raise InvalidInput("give either `path` (a model folder) or `url` (an endpoint)")
    record = _endpoint(new, key.project_id) if new.path is None else await _folder(new, key.project_id)
    return ModelBody.model_validate(await backend.store.models.add(record))


def _endpoint(new: NewModel, project_id: str) -> ModelRecord:
    if new.url is None or not _URL.fullmatch(new.url):
        raise InvalidInput(f"url {new.url!r}: write http(s)://HOST[:PORT][/PATH], without a user name")
    return _record(new, project_id, path=None, sha256=None, context=new.context_tokens or 8192)


async def _folder(new: NewModel, project_id: str) -> ModelRecord:
    folder = Path(new.path or "")
    if not folder.is_absolute():
        raise InvalidInput(f"path {new.path!r}: not absolute; the service has a working folder of its own")
    context = declared_context(folder)
    if new.context_tokens is not None and new.context_tokens > context:
        raise InvalidInput(f"context_tokens {new.context_tokens}: the model was made for {context}")
    digest = await asyncio.to_thread(model_sha256, folder)
    return _record(new, project_id, path=os.path.realpath(folder), sha256=digest, context=new.context_tokens or context)


def _record(new: NewModel, project_id: str, *, path: str | None, sha256: str | None, context: int) -> ModelRecord:
    return ModelRecord(
        id="",
        project_id=project_id,
        name=new.name,
        path=path,
        url=new.url,
        served_name=new.served_name or new.name,
        api_key_env=new.api_key_env,
        sha256=sha256,
        context_tokens=context,
        licence=new.licence,
        created_at="",
    )


@router.get("", operation_id="list_models")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[ModelBody]:
    """Oldest first."""
    records = await backend.store.models.list(key.project_id, after, limit)
    return page_of([ModelBody.model_validate(record) for record in records], limit)


@router.get("/{id}", operation_id="get_model")
async def get(id: str, backend: BackendHere, key: KeyHere) -> ModelBody:
    """By id or name."""
    return ModelBody.model_validate(await backend.store.models.get(key.project_id, id))


@router.delete("/{id}", operation_id="delete_model")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Forget it; its files stay. Refused while a run uses it."""
    await backend.store.models.delete(key.project_id, id)
    return Deleted(id=id)

"""API keys. Needs the scope admin."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.guard import RepeatableRoute
from service.api.state import BackendHere, KeyHere
from service.api.wire import After, Deleted, KeyBody, Limit, Page, page_of
from service.names import KeyName


class KeyRoute(RepeatableRoute):
    """A repeated POST is answered without the secret, which is stored nowhere."""

    @staticmethod
    def kept(answer: Response) -> str:
        return KeyBody.model_validate_json(bytes(answer.body)).model_copy(update={"secret": None}).model_dump_json()


router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=KeyRoute)


class NewKeyRequest(BaseModel):
    """A key of this project."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "ci", "scopes": ["read"]}]})
    name: KeyName
    scopes: Annotated[list[Literal["read", "write", "admin"]], Field(min_length=1, max_length=3)]


@router.post("", status_code=201, operation_id="create_key")
async def create(new: NewKeyRequest, backend: BackendHere, key: KeyHere) -> KeyBody:
    """The secret is in this answer and nowhere else."""
    made = await backend.store.access.create_key(key.project_id, new.name, tuple(new.scopes))
    record = made.record
    return KeyBody(
        id=record.id, name=record.name, scopes=list(record.scopes), created_at=record.created_at, secret=made.secret
    )


@router.get("", operation_id="list_keys")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[KeyBody]:
    """Oldest first, without secrets; a revoked one has a `revoked_at`."""
    records = await backend.store.access.list_keys(key.project_id, after, limit)
    return page_of([KeyBody.model_validate(record) for record in records], limit)


@router.delete("/{id}", operation_id="revoke_key")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Revoked at once, for good. By name: the newest of it that is not revoked."""
    await backend.store.access.revoke_key(key.project_id, id)
    return Deleted(id=id)

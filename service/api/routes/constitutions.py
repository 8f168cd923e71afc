"""Constitutions: post a YAML or JSON text, read, compare, delete."""

from fastapi import APIRouter, Request
from pydantic import JsonValue

from constitutions.canonical import canonical_json, constitution_sha256
from constitutions.differences import diff_constitutions
from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution
from service.api.guard import RepeatableRoute
from service.api.state import BackendHere, KeyHere
from service.api.uploads import FORM, read_upload
from service.api.wire import After, ConstitutionBody, Deleted, Finding, Limit, Page, page_of
from service.store.records import ConstitutionRecord

router = APIRouter(prefix="/v1/constitutions", tags=["constitutions"], route_class=RepeatableRoute)
_BYTES = 1_000_001
_EXAMPLE = """name: short-answers
version: "1"
principles:
  - id: brief
    kind: checked
    text: At most fifty words.
    check: {max_words: 50}
  - id: kind
    kind: judged
    text: The reply is warm and respectful.
"""
_JSON_EXAMPLE: JsonValue = {
    "name": "short-answers",
    "version": "1",
    "principles": [{"id": "brief", "kind": "checked", "text": "At most fifty words.", "check": {"max_words": 50}}],
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": _EXAMPLE},
            "application/json": {"schema": {"type": "object"}, "example": _JSON_EXAMPLE},
            "multipart/form-data": FORM,
        },
    }
}


@router.post("", status_code=201, openapi_extra=_BODY, operation_id="create_constitution")
async def create(request: Request, backend: BackendHere, key: KeyHere) -> ConstitutionBody:
    """Post a constitution as YAML or JSON. The same content gives the same id; the linter's advice comes with it."""
    upload = await read_upload(request, _BYTES)
    constitution = load_constitution(upload.data, name=upload.filename or "constitution.yaml")
    record = await backend.store.constitutions.add(
        ConstitutionRecord(
            id="",
            project_id=key.project_id,
            name=constitution.name,
            version=constitution.version,
            sha256=constitution_sha256(constitution),
            canonical=canonical_json(constitution),
            source=upload.data.decode("utf-8-sig"),
            created_at="",
        )
    )
    return _body(record)


@router.get("", operation_id="list_constitutions")
async def list_(backend: BackendHere, key: KeyHere, after: After = None, limit: Limit = 20) -> Page[ConstitutionBody]:
    """All versions, oldest first."""
    records = await backend.store.constitutions.list(key.project_id, after, limit)
    return page_of([_body(record) for record in records], limit)


@router.get("/{id}", operation_id="get_constitution")
async def get(id: str, backend: BackendHere, key: KeyHere) -> ConstitutionBody:
    """By id, by name (its newest version), or by name@version."""
    return _body(await backend.store.constitutions.get(key.project_id, id))


@router.get("/{id}/diff/{other}", operation_id="diff_constitutions")
async def diff(id: str, other: str, backend: BackendHere, key: KeyHere) -> dict[str, JsonValue]:
    """What changes from one constitution to the other, principle by principle."""
    old = await backend.store.constitutions.get(key.project_id, id)
    new = await backend.store.constitutions.get(key.project_id, other)
    difference = diff_constitutions(
        load_constitution(old.canonical, name=old.id), load_constitution(new.canonical, name=new.id)
    )
    changes: dict[str, JsonValue] = {"from": old.id, "to": new.id}
    return changes | difference.as_json()


@router.delete("/{id}", operation_id="delete_constitution")
async def delete(id: str, backend: BackendHere, key: KeyHere) -> Deleted:
    """Refused while a run uses it."""
    await backend.store.constitutions.delete(key.project_id, id)
    return Deleted(id=id)


def _body(record: ConstitutionRecord) -> ConstitutionBody:
    findings = lint_constitution(load_constitution(record.canonical, name=record.id))
    return ConstitutionBody(
        **{name: getattr(record, name) for name in ("id", "name", "version", "sha256", "created_at", "source")},
        findings=[Finding.model_validate(finding, from_attributes=True) for finding in findings],
    )

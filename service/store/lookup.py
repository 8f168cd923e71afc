"""Finding rows: always within one project, by id or by name, in pages that are stable while others write."""

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import JsonValue
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import NotFound
from service.store.records import JsonObject
from service.store.tables import Adapter, ApiKey, Constitution, Label, Model, PreferenceSet, PromptSet, Run, Table

Row = TypeVar("Row", ApiKey, Constitution, PromptSet, PreferenceSet, Model, Run, Adapter, Label)
_KINDS: dict[type[Table], str] = {
    ApiKey: "API key",
    Constitution: "constitution",
    PromptSet: "prompt set",
    PreferenceSet: "preference set",
    Model: "model",
    Run: "run",
    Adapter: "adapter",
    Label: "label",
}


async def find(session: AsyncSession, table: type[Row], project_id: str, id_or_name: str) -> Row:
    """By id, else the newest of that name (`name@version` for constitutions). Raises NotFound, which names the kind."""
    row = await session.scalar(select(table).where(table.project_id == project_id, table.id == id_or_name))
    if row is None and "name" in table.__table__.columns:
        name, _, version = id_or_name.partition("@")
        conditions: list[ColumnElement[bool]] = [table.project_id == project_id, table.__table__.c.name == name]
        if version and table is Constitution:
            conditions.append(table.__table__.c.version == version)
        row = await session.scalar(select(table).where(*conditions).order_by(table.id.desc()).limit(1))
    if row is None:
        raise NotFound(f"there is no {_KINDS[table]} {id_or_name!r} in this project; list them to see what there is")
    return row


async def page(
    session: AsyncSession, table: type[Row], project_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Up to `limit` + 1 rows, oldest first: the extra one tells that there are more."""
    query = select(table).where(table.project_id == project_id).order_by(table.id).limit(limit + 1)
    if after:
        query = query.where(table.id > after)
    return (await session.scalars(query)).all()


def to_json(value: JsonValue) -> str:
    """Compact JSON; NaN is refused, since no other reader would take it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_object(text: str) -> JsonObject:
    """An object that `to_json` wrote."""
    value: JsonObject = json.loads(text)
    return value

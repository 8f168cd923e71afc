"""Finding rows: always within one project, by id or by name, in pages that are stable while others write."""

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import JsonValue
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import NotFound
from service.store.label_tables import LabelProject
from service.store.records import JsonObject
from service.store.tables import Adapter, ApiKey, Constitution, Label, Model, PreferenceSet, PromptSet, Run, Table

Row = TypeVar("Row", ApiKey, Constitution, PromptSet, PreferenceSet, Model, Run, Adapter, Label, LabelProject)
_KINDS: dict[type[Table], str] = {
    ApiKey: "API key",
    Constitution: "constitution",
    PromptSet: "prompt set",
    PreferenceSet: "preference set",
    Model: "model",
    Run: "run",
    Adapter: "adapter",
    Label: "label",
    LabelProject: "label project",
}


async def find(session: AsyncSession, table: type[Row], project_id: str, id_or_name: str, *, lock: bool = False) -> Row:
    """By id, else the newest of that name (`name@version` for constitutions). Raises NotFound, which names the kind.

    A revoked key has no name any more: else it would stand before an older one of that name that still opens.

    With `lock` nobody else changes the row, or deletes it, before this transaction ends.
    """
    asked = "" if "\0" in id_or_name else id_or_name  # Postgres takes no NUL, and no id or name has one
    by_id = select(table).where(table.project_id == project_id, table.id == asked)
    row = await session.scalar(by_id.with_for_update() if lock else by_id)
    if row is None and "name" in table.__table__.columns:
        name, _, version = asked.partition("@")
        conditions: list[ColumnElement[bool]] = [table.project_id == project_id, table.__table__.c.name == name]
        if version and table is Constitution:
            conditions.append(table.__table__.c.version == version)
        if table is ApiKey:
            conditions.append(table.__table__.c.revoked_at.is_(None))
        newest = select(table).where(*conditions).order_by(table.id.desc()).limit(1)
        row = await session.scalar(newest.with_for_update() if lock else newest)
    if row is None:
        raise NotFound(f"there is no {_KINDS[table]} {id_or_name!r} in this project; list them to see what there is")
    return row


async def page(
    session: AsyncSession, table: type[Row], project_id: str, after: str | None, limit: int
) -> Sequence[Row]:
    """Up to `limit` + 1 rows, oldest first: the extra one tells that there are more."""
    query = select(table).where(table.project_id == project_id).order_by(table.id).limit(limit + 1)
    if after:
        query = query.where(table.id > after.replace("\0", "\uffff"))
    return (await session.scalars(query)).all()


async def one_at_a_time(session: AsyncSession, what: str) -> None:
    """Wait for other transactions that look whether the same thing is there, and add it if not.

    SQLite has one writer anyway; on Postgres this is a lock on a name that ends with the transaction.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(what, 0))))


def to_json(value: JsonValue) -> str:
    """Compact JSON; NaN is refused, since no other reader would take it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_object(text: str) -> JsonObject:
    """An object that `to_json` wrote."""
    value: JsonObject = json.loads(text)
    return value

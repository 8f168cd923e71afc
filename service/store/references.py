"""Which artifacts the rows refer to: what the garbage collector must keep."""

import json
from collections.abc import Iterator

from pydantic import JsonValue
from sqlalchemy import select

from service.store.database import Database
from service.store.label_tables import LabelProject
from service.store.tables import Adapter, PreferenceSet, PromptSet, StageResult


class References:
    """Read-only, over all projects: artifacts named by content are shared between them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def texts(self) -> frozenset[str]:
        """Every artifact column, every text in a stage's result: keys stand there beside other texts. And the folder of
        each label project.
        """
        async with self._db.read() as session:
            columns = (PromptSet.artifact, PreferenceSet.artifact, Adapter.artifact)
            found = {text for column in columns for text in await session.scalars(select(column))}
            for result in await session.scalars(select(StageResult.result)):
                found.update(_texts(json.loads(result)))
            found.update(map(folder_of, await session.scalars(select(LabelProject.id))))
        return frozenset(found)


def folder_of(label_project_id: str) -> str:
    """Where the artifacts lie that a label project keeps for itself."""
    return f"label-projects/{label_project_id}"


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)

"""Cells of a table: what has no column of its own stands in one as JSON.

A text that would be taken for JSON is written as a JSON text, so that every text comes back as it was; any other text
stands as it is, and so do the cells of tables that other programs wrote. A reply's cell is a list or an object only
where that is messages: a model that was asked for JSON replies so. An empty cell is a missing value, so an empty reply
is written as a JSON text too.
"""

import json
from collections.abc import Iterable, Mapping

from pydantic import JsonValue
from pydantic_core import to_json

# Without one of these there is no pair; any other empty cell says nothing.
REPLIES = frozenset({"chosen", "rejected", "chosen_response", "rejected_response", "completion"})
_EMPTY_TEXT = '""'


def parsed_cell(text: str) -> JsonValue:
    """A list, an object, or a text."""
    if text[:1] not in ("[", "{", '"'):
        return text
    if text == _EMPTY_TEXT:
        return ""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, str):
        return text if parsed_cell(value) == value else value
    return value if isinstance(value, list | dict) else text


def cell_of(value: JsonValue) -> str:
    """As `parsed_cell` reads it; None is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, str) and parsed_cell(value) == value:
        return value
    return to_json(value).decode()


def cells_of(line: Mapping[str, JsonValue], names: Iterable[str]) -> list[str]:
    """A CSV's row, as `parsed_row` reads it."""
    values = ((name, line.get(name)) for name in names)
    return [_EMPTY_TEXT if value == "" and name in REPLIES else cell_of(value) for name, value in values]


def parsed_row(row: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A CSV's row: cells parsed, empty ones left out. Raises ValueError for a pair that lacks a reply."""
    if missing := [name for name, cell in row.items() if cell == "" and name in REPLIES]:
        raise ValueError(f"the cell of {missing[0]} is empty; write the reply, or {_EMPTY_TEXT} for an empty one")
    return {name: _parsed(name, cell) if isinstance(cell, str) else cell for name, cell in row.items() if cell != ""}


def _parsed(name: str, cell: str) -> JsonValue:
    value = parsed_cell(cell)
    return value if isinstance(value, str) or name not in REPLIES or _messages(value) else cell


def _messages(value: JsonValue) -> bool:
    """Whether it is a list of them, each with its role, which ShareGPT calls `from`."""
    listed = value if isinstance(value, list) else []
    return bool(listed) and all(
        isinstance(one, dict) and ("role" in one or {"from", "value"} <= set(one)) for one in listed
    )


def mapping_of(value: JsonValue) -> dict[str, JsonValue] | None:
    """An object, or a text that is one's JSON; None for anything else."""
    if isinstance(value, str):
        value = parsed_cell(value)
    return value if isinstance(value, dict) else None


def list_of(value: JsonValue) -> list[JsonValue]:
    """A list, or a text that is one's JSON; empty for anything else."""
    if isinstance(value, str):
        value = parsed_cell(value)
    return value if isinstance(value, list) else []

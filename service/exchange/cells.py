"""Cells of a table: what has no column of its own stands in one as JSON.

A text that would be taken for JSON is written as a JSON text, so that every text comes back as it was; any other text
stands as it is, and so do the cells of tables that other programs wrote.
"""

import json

from pydantic import JsonValue
from pydantic_core import to_json

# An empty reply is a reply; any other empty cell says nothing.
REPLIES = frozenset({"chosen", "rejected", "chosen_response", "rejected_response"})


def parsed_cell(text: str) -> JsonValue:
    """A list, an object, or a text."""
    if text[:1] not in ("[", "{", '"'):
        return text
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


def parsed_row(row: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A CSV's row: cells parsed, empty ones left out."""
    return {
        name: parsed_cell(cell) if isinstance(cell, str) else cell
        for name, cell in row.items()
        if cell != "" or name in REPLIES
    }


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

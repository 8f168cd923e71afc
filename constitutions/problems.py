"""What is wrong with a constitution, in words: where it stands, what it is, what to do.

Left out: finding it (`loader.py`, pydantic).
"""

import difflib
from collections.abc import Iterable
from itertools import islice

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from constitutions.schema import CheckedPrinciple, Constitution, Example, JudgedPrinciple, Turn
from constitutions.yaml_nodes import Document, Path, Place, Value

# One broken file is mended in rounds; more than this many lines at once help nobody.
MOST_PROBLEMS = 50
_LONGEST_QUOTE = 60
_KINDS = ("judged", "checked")


class Problems:
    """Collects the problems of one document."""

    def __init__(self, document: Document, name: str) -> None:
        self._document = document
        self._name = name
        self._found: list[tuple[Place, str]] = []

    def in_order(self) -> tuple[str, ...]:
        """From the top of the file to its end, at most MOST_PROBLEMS."""
        found = sorted(self._found, key=lambda item: (item[0].line, item[0].column))
        return tuple(f"constitution '{self._name}', {place}: {message}" for place, message in found[:MOST_PROBLEMS])

    def add(self, path: Path, message: str) -> None:
        """A problem at the entry, or where there is none at the nearest one above it."""
        while path and path not in self._document.places:
            path = path[:-1]
        self._found.append((self._document.places.get(path, Place(1, 1)), " ".join(message.splitlines())))

    def add_details(self, details: Iterable[ErrorDetails]) -> None:
        """What pydantic found. A key that is missing because it is misspelt is told once, as misspelt."""
        located = [(detail, self._path(detail)) for detail in islice(details, 10 * MOST_PROBLEMS)]
        misspelt = {
            (*path[:-1], close)
            for detail, path in located[:MOST_PROBLEMS]
            if detail["type"] == "extra_forbidden" and (close := _closest_key(path, self._document.value))
        }
        for detail, path in located:
            is_echo = self._is_echo(detail, path) or (detail["type"] == "missing" and path in misspelt)
            if not is_echo and len(self._found) < MOST_PROBLEMS:
                self.add(path, _message(detail, self._subject(path), path, self._document.value))

    def add_duplicate_ids(self) -> None:
        """Two principles of one id."""
        value = self._document.value
        principles = value.get("principles") if isinstance(value, dict) else None
        first: dict[str, int] = {}
        for index, principle in enumerate(principles if isinstance(principles, list) else ()):
            id_ = principle.get("id") if isinstance(principle, dict) else None
            if isinstance(id_, str) and first.setdefault(id_, index) != index:
                line = self._document.places[("principles", first[id_], "id")].line
                message = f"the id {quoted(id_)} is taken on line {line}. Give each principle its own."
                self.add(("principles", index, "id"), message)

    def _path(self, detail: ErrorDetails) -> Path:
        """The steps that the file knows; pydantic also names the branch of a union, such as 'judged' or 'str'."""
        steps: list[str | int] = []
        at: Value = self._document.value
        for position, step in enumerate(detail["loc"]):
            if isinstance(at, dict) and step in at:
                steps, at = [*steps, step], at[str(step)]
            elif isinstance(at, list) and isinstance(step, int):
                steps, at = [*steps, step], at[step]
            elif detail["type"] == "missing" and position == len(detail["loc"]) - 1:
                steps.append(step)
        return tuple(steps)

    def _is_echo(self, detail: ErrorDetails, path: Path) -> bool:
        """True for a list called too short because its items are bad, and for the branch of a union not meant."""
        value = _value_at(self._document.value, path)
        if detail["type"] == "too_short" and isinstance(value, list) and value:
            return True
        if path[-1:] != ("prompt",):
            return False
        return (detail["type"] == "string_type") if isinstance(value, list) else detail["type"] == "tuple_type"

    def _subject(self, path: Path) -> str:
        """`principle 'kind', example 2, better`; examples and turns are counted from 1."""
        named = [step[:_LONGEST_QUOTE] if isinstance(step, str) else f"{step + 1}" for step in path]
        if path[:1] == ("principles",) and len(path) > 1:
            id_ = _value_at(self._document.value, (*path[:2], "id"))
            named[:2] = [f"principle {quoted(id_)}" if isinstance(id_, str) else f"principle {named[1]}"]
        if "examples" in named[:-1]:
            at = named.index("examples")
            named[at : at + 2] = [f"example {named[at + 1]}"]
        return ", ".join(named) or "the constitution"


def _value_at(value: Value, path: Path) -> Value:
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            return None
    return value


_SHAPES = {
    "tuple_type": "must be a list. Write its items with '- '",
    "dict_type": "must be a mapping. Write it as 'key: value'",
    "model_type": "must be a mapping. Write it as 'key: value'",
    "model_attributes_type": "must be a mapping. Write it as 'key: value'",
    "string_too_short": "is empty. Write it out",
    "too_short": "is empty. Add an item",
    "union_tag_not_found": "kind is missing. Add kind: judged or kind: checked",
}


def _message(detail: ErrorDetails, subject: str, path: Path, document: Value) -> str:
    kind, given = detail["type"], detail["input"]
    if kind in _SHAPES:
        return f"{subject}: {_SHAPES[kind]}."
    if kind == "extra_forbidden":
        close = _closest_key(path, document)
        remedy = f"Did you mean {close!r}?" if close else "Remove it."
        return f"{subject}: unknown key {quoted(path[-1])}. {remedy}"
    if kind == "missing":
        return f"{subject} is missing. Add it."
    if kind == "union_tag_invalid":
        named = str(given.get("kind")) if isinstance(given, dict) else ""
        nearest = difflib.get_close_matches(named, _KINDS, n=1)
        remedy = f"Did you mean {nearest[0]!r}?" if nearest else "Write judged or checked."
        return f"{subject}: there is no kind {quoted(named)}. {remedy}"
    if kind == "string_type" and isinstance(given, int | float):
        return f"{subject}: {quoted(given)} is not text here. Put it in quotes."
    if kind == "string_pattern_mismatch":
        allowed = "lower-case letters, digits, hyphens, a letter first"
        if path == ("version",):
            allowed = "letters, digits and .+_-, a letter or digit first"
        return f"{subject} is {quoted(given)}. Use {allowed}."
    if isinstance(given, str | int | float):
        return f"{subject}: {detail['msg']}; it is {quoted(given)}. Change it."
    return f"{subject}: {detail['msg']}. Change it."


def quoted(value: str | int | float) -> str:
    """A value as a message shows it: on one line, and short."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _closest_key(path: Path, document: Value) -> str:
    """The key that the last step of the path was meant for, or "" where none is like it."""
    close = difflib.get_close_matches(str(path[-1])[:_LONGEST_QUOTE], _known_keys(path, document), n=1)
    return close[0] if close else ""


def _known_keys(path: Path, document: Value) -> list[str]:
    """The keys that may stand where the last step of the path stands."""
    model: type[BaseModel] = Constitution
    if "prompt" in path[:-1]:
        model = Turn
    elif "examples" in path[:-1]:
        model = Example
    elif len(path) > 2:
        checked = _value_at(document, (*path[:2], "kind")) == "checked"
        model = CheckedPrinciple if checked else JudgedPrinciple
    return list(model.model_fields)

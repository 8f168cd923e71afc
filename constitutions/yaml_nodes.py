"""YAML text to plain values and the place of each, safely: no aliases, no tags, no duplicate keys, no depth, no size.

Left out: what the values mean (`loader.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from constitutions.errors import ConstitutionError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True)
class Document:
    """The values, and where each stands: the key's place for a mapping's entry, the item's for a list's."""

    value: Value
    places: dict[Path, Place]


def decode(data: bytes | str, name: str) -> str:
    """Bytes as text. Raises ConstitutionError for too much of it, or for what is not UTF-8."""
    size = len(data)
    if size > MAX_BYTES:
        raise ConstitutionError(
            (f"constitution '{name}': {size:,} bytes; at most {MAX_BYTES:,} are read. Shorten it.",)
        )
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"constitution '{name}', line {line}: byte {error.start} is not UTF-8. Save the file as UTF-8."
        raise ConstitutionError((message,)) from error


def read_yaml(data: bytes | str, name: str) -> Document:
    """Parse YAML (or JSON, which is YAML too). Raises ConstitutionError with the place of what cannot be accepted."""
    text = decode(data, name)
    try:
        events = list(_guarded(yaml.parse(text, Loader=yaml.CSafeLoader), name))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        message = (
            f"constitution '{name}'{place}: not valid YAML: {error.problem}. Mend the indentation or the quotes here."
        )
        raise ConstitutionError((message,)) from error
    except yaml.YAMLError as error:
        raise ConstitutionError((f"constitution '{name}': not valid YAML: {error}",)) from error
    return _Builder(events, name).document()


def _guarded(events: Iterator[yaml.Event], name: str) -> Iterator[yaml.Event]:
    """Refuse what could blow up or hide meaning, before anything is built from it."""
    depth = documents = 0
    for event in events:
        problem = ""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "aliases and anchors are not allowed. Write the text out"
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            problem = f"the tag {event.tag!r} is not allowed. Remove it"
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            problem = "a second document begins here. Keep one" if documents > 1 else ""
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            problem = f"nested deeper than {MAX_DEPTH} levels. Flatten it" if depth > MAX_DEPTH else ""
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if problem:
            raise ConstitutionError((f"constitution '{name}', {_place(event)}: {problem}.",))
        yield event


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


_RESOLVER = yaml.SafeLoader("")
_INT, _FLOAT, _BOOL, _NULL = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))


def _scalar(event: yaml.ScalarEvent) -> Value:
    """A plain scalar by YAML's own rules; a quoted one, a date and everything else is text."""
    if event.style is not None:
        return str(event.value)
    tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore[no-untyped-call]
    node = yaml.ScalarNode(tag, event.value)
    if tag == _NULL:
        return None
    if tag == _BOOL:
        return bool(_RESOLVER.construct_yaml_bool(node))
    if tag == _INT:
        return int(_RESOLVER.construct_yaml_int(node))
    return float(_RESOLVER.construct_yaml_float(node)) if tag == _FLOAT else str(event.value)


class _Builder:
    """Builds the values from guarded events; its depth is bounded by the guard, so recursion is safe."""

    def __init__(self, events: list[yaml.Event], name: str) -> None:
        self._events = iter(events)
        self._name = name
        self._places: dict[Path, Place] = {}
        self._duplicates: list[str] = []

    def document(self) -> Document:
        for event in self._events:
            if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
                value = self._value(event, ())
                if self._duplicates:
                    raise ConstitutionError(tuple(self._duplicates))
                return Document(value, self._places)
        raise ConstitutionError((f"constitution '{self._name}': it is empty. Give it a name and principles.",))

    def _value(self, event: yaml.Event, path: Path) -> Value:
        self._places.setdefault(path, _place(event))
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)

    def _sequence(self, path: Path) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Value]:
        mapping: dict[str, Value] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            where = f"constitution '{self._name}', {_place(event)}"
            if key in mapping:
                self._duplicates.append(f"{where}: the key {key!r} stands here a second time. Keep one.")
            self._places[(*path, key)] = _place(event)
            mapping[key] = self._value(next(self._events), (*path, key))
        return mapping

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.value == "<<":
            problem = f"constitution '{self._name}', {_place(event)}: a key must be a plain word. Write the keys out."
            raise ConstitutionError((problem,))
        return str(event.value)

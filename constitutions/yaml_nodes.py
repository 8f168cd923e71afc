"""YAML text to plain values and the place of each, safely: no aliases, no tags, no duplicate keys, no depth, no size.

Left out: what the values mean (`loader.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from constitutions.errors import ConstitutionError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
# Counted as the parser's events. The library's largest has under a thousand; a million keep the service busy for 20 s.
MAX_VALUES = 100_000
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
    """The values, where each stands (the key's place for a mapping's entry), and every scalar as it was written."""

    value: Value
    places: dict[Path, Place]
    texts: dict[Path, str]


# YAML 1.2's core schema, so that `no`, `on`, `1:30` and dates are text. More digits than this are text too.
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
# JSON may hold these as they are; in YAML they break a line or may not stand at all.
_JSON_ONLY = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def decode(data: bytes | str, name: str) -> str:
    """Bytes as text. Raises ConstitutionError for too much of it, or for what is not UTF-8."""
    if len(data) <= MAX_BYTES and isinstance(data, str):
        data = data.encode(errors="surrogatepass")
    if isinstance(data, str) or len(data) > MAX_BYTES:
        problem = f"constitution '{name}': {len(data):,} bytes; at most {MAX_BYTES:,} are read. Shorten it."
        raise ConstitutionError((problem,))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"constitution '{name}', line {line}: byte {error.start} is not UTF-8. Save the file as UTF-8."
        raise ConstitutionError((message,)) from error


def read_yaml(
    data: bytes | str, name: str, *, text_keys: frozenset[str] = frozenset(), typed_below: str = ""
) -> Document:
    """Parse YAML (or JSON, which is YAML too). Raises ConstitutionError with the place of what cannot be accepted.

    What stands under a key of `text_keys` is text even where it looks like a number or a truth value, so that
    `better: 42` needs no quotes; but not below the key `typed_below`.
    """
    text = decode(data, name)
    if text.lstrip().startswith("{"):
        text = _json_as_yaml(text)
    try:
        events = list(_guarded(yaml.parse(text, Loader=yaml.CSafeLoader), name))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        message = (
            f"constitution '{name}'{place}: not valid YAML: {error.problem}. Mend the indentation or the quotes here."
        )
        raise ConstitutionError((message,)) from error
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        message = f"constitution '{name}', line {line}: a character that YAML does not allow. Remove it."
        raise ConstitutionError((message,)) from error
    return _Builder(events, name, text_keys, typed_below).document()


def _json_as_yaml(text: str) -> str:
    """JSON escapes of two halves as one character, and characters that only JSON may hold as escapes."""

    def joined(match: re.Match[str]) -> str:
        high, low = int(match[2], 16), int(match[3], 16)
        return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"

    return _JSON_ONLY.sub(lambda match: f"\\u{ord(match[0]):04x}", _SURROGATES.sub(joined, text))


def _guarded(events: Iterator[yaml.Event], name: str) -> Iterator[yaml.Event]:
    """Refuse what could blow up or hide meaning, before anything is built from it."""
    depth = documents = 0
    for count, event in enumerate(events):
        problem = ""
        if count > MAX_VALUES:
            problem = f"more than {MAX_VALUES:,} values. Shorten it"
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "aliases and anchors are not allowed. Write the text out"
        elif isinstance(event, yaml.ScalarEvent) and "\0" in event.value:
            problem = "a NUL character cannot be stored. Remove it"
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


def _scalar(event: yaml.ScalarEvent, *, is_text: bool) -> Value:
    """A plain scalar by YAML 1.2's core schema; a quoted one, a date and everything else is text."""
    text = str(event.value)
    if not event.implicit[0]:
        return text
    if text in _WORDS and not (is_text and isinstance(_WORDS[text], bool)):
        return _WORDS[text]
    if not is_text and _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if not is_text and _NUMBER.fullmatch(text) else text


class _Builder:
    """Builds the values from guarded events; its depth is bounded by the guard, so recursion is safe."""

    def __init__(self, events: list[yaml.Event], name: str, text_keys: frozenset[str], typed_below: str) -> None:
        self._events = iter(events)
        self._name = name
        self._text_keys = text_keys
        self._typed_below = typed_below
        self._texts: dict[Path, str] = {}
        self._places: dict[Path, Place] = {}
        self._duplicates: list[str] = []

    def document(self) -> Document:
        for event in self._events:
            if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
                value = self._value(event, ())
                if self._duplicates:
                    raise ConstitutionError(tuple(self._duplicates))
                return Document(value, self._places, self._texts)
        raise ConstitutionError((f"constitution '{self._name}': it is empty. Give it a name and principles.",))

    def _value(self, event: yaml.Event, path: Path) -> Value:
        self._places.setdefault(path, _place(event))
        if isinstance(event, yaml.ScalarEvent):
            self._texts[path] = str(event.value)
            is_text = bool(path) and path[-1] in self._text_keys and self._typed_below not in path
            return _scalar(event, is_text=is_text)
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

"""A table of any of the formats as JSON objects, each with the line it stood on. Loose in, with every fault's line."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from service.errors import InvalidInput

MAX_LINE_BYTES = 16_000_000
MAX_TABLE_BYTES = 1_000_000_000
_ROWS_AT_ONCE = 64
# Blanks before the bracket of an array.
_LOOKED_AT = 4096
# A server's answer that lists records, as Argilla's does: an object of these keys alone.
_ANSWER_BEGINS = re.compile(rb"\s*\{\s*\"(items|total)\"")
_ANSWER_KEYS = {"items", "total"}
# Of the faults of one file, so that an answer stays a page that can be read.
_NAMED_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One object and where it stood, counted from 1: the line of a text, the item of an array, the row of a table."""

    number: int
    value: dict[str, JsonValue]
    kind: Literal["line", "item", "row"] = "line"

    @property
    def place(self) -> str:
        """As a person finds it: line 7."""
        return f"{self.kind} {self.number}"


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A place that holds no object, and why. Others may be read on."""

    place: str
    why: str

    @property
    def problem(self) -> str:
        return f"{self.place}: {self.why}"


@dataclass(frozen=True, slots=True)
class RepeatedRow:
    """A row that an earlier place has already, which counts once: `same`, or the same answer in other numbers."""

    place: str
    first: str
    same: bool

    @property
    def problem(self) -> str:
        if self.same:
            return f"{self.place}: the same row as {self.first}"
        return (
            f"{self.place}: who says so already did on {self.first}, with another belief, weight or tag, which counts"
        )


def read_lines(data: bytes, filename: str, content_type: str) -> list[Line]:
    """JSONL, a JSON array (or `{items, total}`), CSV or Parquet; told by the bytes first, then by the name.

    Raises InvalidInput.
    """
    read = list(scan_lines(data, filename, content_type))
    refuse([line.problem for line in read if isinstance(line, BrokenLine)])
    return [line for line in read if isinstance(line, Line)]


def scan_lines(data: bytes, filename: str, content_type: str) -> Iterator[Line | BrokenLine]:
    """The same one by one, the broken ones among them. Raises InvalidInput where nothing more can be read."""
    if data[:4] == b"PAR1":
        return _parquet(data)
    if is_csv(data, filename, content_type):
        return _csv(decode(data))
    start = data.removeprefix(codecs.BOM_UTF8)[:_LOOKED_AT]
    if start.lstrip()[:1] == b"[":
        return _array(decode(data))
    listed = _listed(data) if _ANSWER_BEGINS.match(start) else None
    return _jsonl(data) if listed is None else _items(listed)


def is_csv(data: bytes, filename: str, content_type: str) -> bool:
    """Whether the cells of these rows are texts."""
    return data[:4] != b"PAR1" and (filename.lower().endswith(".csv") or content_type == "text/csv")


def decode(data: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises InvalidInput with the line of the first wrong byte."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidInput(f"line {line}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def refuse(problems: list[str], advice: str = "") -> None:
    """Raise InvalidInput for all of them, the first in its message, with advice; nothing was stored.

    A thousand are named, and how many more there are.
    """
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        named = problems[:_NAMED_PROBLEMS]
        if len(problems) > len(named):
            named.append(f"and {len(problems) - len(named)} more places; mend these first")
        raise InvalidInput(f"{problems[0]}{more}; nothing was stored{advice}", tuple(named))


def _jsonl(data: bytes) -> Iterator[Line | BrokenLine]:
    # Not splitlines(): a text may hold U+2028 and its like, which end no line of JSONL.
    for number, (start, raw) in enumerate(_lines(data), start=1):
        if raw.strip():
            try:
                yield Line(number, _object(raw, start))
            except ValueError as error:
                yield BrokenLine(f"line {number}", str(error))


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each begins, and the line, one after the other: a list of all would take as much memory again."""
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    while (end := data.find(b"\n", start)) >= 0:
        yield start, data[start:end]
        start = end + 1
    yield start, data[start:]


def _object(raw: bytes, start: int) -> dict[str, JsonValue]:
    if len(raw) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES:,} bytes; is the file JSONL?")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {start + error.start} is not UTF-8; save the file as UTF-8") from error
    try:
        value = _parsed(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("not an object; write one {...} a line")
    return value


def _array(text: str) -> Iterator[Line | BrokenLine]:
    try:
        values = _parsed(text)
    except ValueError as error:
        raise InvalidInput(f"not JSON: {error}; nothing was stored") from error
    yield from _items(values if isinstance(values, list) else [])


def _listed(data: bytes) -> list[JsonValue] | None:
    """The records of a server's one answer; None for anything else."""
    try:
        value = _parsed(data.decode("utf-8-sig"))
    except ValueError:
        return None
    items = value["items"] if isinstance(value, dict) and value.keys() == _ANSWER_KEYS else None
    return items if isinstance(items, list) else None


def _items(values: list[JsonValue]) -> Iterator[Line | BrokenLine]:
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            yield Line(number, value, "item")
        else:
            yield BrokenLine(f"item {number}", "not an object")


def _csv(text: str) -> Iterator[Line | BrokenLine]:
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    first = 1  # the line on which the row begins; a cell may hold line breaks
    try:
        for cells in reader:
            if cells and not columns:
                columns = cells
                if twice := [name for name in columns if columns.count(name) > 1]:
                    raise InvalidInput(f"line {first}: the column {twice[0]!r} stands twice; nothing was stored")
            elif cells and len(cells) != len(columns):
                yield BrokenLine(f"line {first}", "not as many cells as the header")
            elif cells:
                yield Line(first, dict(zip(columns, cells, strict=True)))
            first = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(f"line {first}: not CSV: {error}; nothing was stored") from error


def _parquet(data: bytes) -> Iterator[Line | BrokenLine]:
    number = 0
    try:
        _refuse_bomb(data)
        for batch in _batches(data):
            for row in _table_rows(batch):
                number += 1
                if isinstance(row, str):
                    yield BrokenLine(f"row {number}", row)
                else:
                    yield Line(number, {key: value for key, value in row.items() if value is not None}, "row")
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"not readable as Parquet: {error}; nothing was stored") from error


def _table_rows(batch: pa.RecordBatch) -> Iterator[dict[str, JsonValue] | str]:
    """Each row, or why it is none."""
    try:
        yield from batch.to_pylist()
    except ValueError:  # of which row, only the rows themselves tell
        for place in range(batch.num_rows):
            try:
                yield from batch.slice(place, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield f"byte {error.start} of a text is not UTF-8; write texts as UTF-8"
            except ValueError as error:
                yield f"not readable: {error}"


def _refuse_bomb(data: bytes) -> None:
    """Measure before reading, a few rows at a time: dictionaries pack gigabytes into kilobytes."""
    unpacked = 0
    for batch in _batches(data):
        unpacked += sum(_plain(column).nbytes for column in batch.columns)
        if unpacked > MAX_TABLE_BYTES:
            raise InvalidInput(f"the unpacked rows take more than {MAX_TABLE_BYTES:,} bytes; split the file")


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _batches(data: bytes) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(pa.BufferReader(data))
    groups = [file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups)]
    if sum(groups) > MAX_TABLE_BYTES:
        raise InvalidInput(f"the unpacked rows take more than {MAX_TABLE_BYTES:,} bytes; split the file")
    return iter(file.iter_batches(batch_size=_ROWS_AT_ONCE))


def _parsed(text: str) -> JsonValue:
    """The JSON value. Raises ValueError also for what only Python would take: NaN, a key twice, half characters."""
    try:
        value: JsonValue = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
        if "\\ud" in text or "\\uD" in text:  # the only way that half of a surrogate pair comes in
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"a text holds half of a surrogate pair, {error.object[error.start]!a}") from error
    return value


def _no_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not JSON")

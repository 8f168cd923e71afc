"""A table of any of the formats as JSON objects, each with the line it stood on. Loose in, with every fault's line."""

import csv
import io
import json
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
_SHOWN_PROBLEMS = 20


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


def read_lines(data: bytes, filename: str, content_type: str) -> list[Line]:
    """JSONL, a JSON array, CSV or Parquet; told by the bytes first, then by the name. Raises InvalidInput."""
    if data[:4] == b"PAR1":
        return _parquet(data)
    text = decode(data)
    if filename.lower().endswith(".csv") or content_type == "text/csv":
        return _csv(text)
    if text.lstrip()[:1] == "[":
        return _array(text)
    return list(_jsonl(text))


def decode(data: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises InvalidInput with the line of the first wrong byte."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidInput(f"line {line}: byte {error.start} is not UTF-8; save the file as UTF-8") from error


def refuse(problems: list[str]) -> None:
    """Raise InvalidInput for all of them, the first in its message; nothing was stored."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidInput(f"{problems[0]}{more}; nothing was stored", tuple(problems[:_SHOWN_PROBLEMS]))


def _jsonl(text: str) -> Iterator[Line]:
    problems: list[str] = []
    lines: list[Line] = []
    # Not splitlines(): a text may hold U+2028 and its like, which end no line of JSONL.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            problems.append(f"line {number}: longer than {MAX_LINE_BYTES:,} characters; is the file JSONL?")
            continue
        try:
            value = _parsed(line)
        except ValueError as error:
            problems.append(f"line {number}: not JSON: {error}")
            continue
        if isinstance(value, dict):
            lines.append(Line(number, value))
        else:
            problems.append(f"line {number}: not an object; write one {{...}} a line")
    refuse(problems)
    return iter(lines)


def _array(text: str) -> list[Line]:
    try:
        values = _parsed(text)
    except ValueError as error:
        raise InvalidInput(f"not JSON: {error}; nothing was stored") from error
    if not isinstance(values, list):  # it began with a bracket, so this is never the case
        return []
    refuse([f"item {i}: not an object" for i, value in enumerate(values, 1) if not isinstance(value, dict)])
    return [Line(number, value, "item") for number, value in enumerate(values, start=1) if isinstance(value, dict)]


def _csv(text: str) -> list[Line]:
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    lines: list[Line] = []
    try:
        columns = list(reader.fieldnames or ())
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise InvalidInput(f"line 1: the column {twice[0]!r} stands twice; nothing was stored")
        for row in reader:
            if None in row or None in row.values():
                raise InvalidInput(f"line {reader.line_num}: not as many cells as the header; nothing was stored")
            lines.append(Line(reader.line_num, dict(row)))
    except csv.Error as error:
        raise InvalidInput(f"line {max(1, reader.line_num)}: not CSV: {error}; nothing was stored") from error
    return lines


def _parquet(data: bytes) -> list[Line]:
    try:
        _refuse_bomb(data)
        rows = [row for batch in _batches(data) for row in batch.to_pylist()]
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"not readable as Parquet: {error}; nothing was stored") from error
    return [
        Line(number, {key: value for key, value in row.items() if value is not None}, "row")
        for number, row in enumerate(rows, start=1)
    ]


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

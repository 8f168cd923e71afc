"""A preference set as a stream of bytes, in any format: JSON lines, one JSON array, CSV or Parquet."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue
from pydantic_core import to_json

from service.exchange.cells import cells_of
from service.exchange.formats import charter
from service.exchange.formats.registry import LAYOUTS, Format, Layout
from service.exchange.pairs_together import pairs_together
from service.preference_rows import PreferenceRows
from training.rows import PreferenceRow

FileKind = Literal["jsonl", "json", "csv", "parquet"]
MEDIA_TYPES: dict[FileKind, str] = {
    "jsonl": "application/jsonl",
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
Batches = Iterable[Sequence[PreferenceRow]]


def export_chunks(batches: Batches, format: Format, kind: FileKind) -> Iterator[bytes]:
    """The rows that the format holds, a chunk or more for each batch. Rows on one pair that are to be one line of it
    stand in one batch.
    """
    layout = LAYOUTS[format]
    lines = (layout.write(filter(layout.holds, batch)) for batch in batches)
    if kind == "csv":
        return _csv(lines, layout)
    if kind == "parquet":
        return _parquet(lines, layout)
    return _jsonl(lines) if kind == "jsonl" else _array(lines)


def stored_chunks(rows: PreferenceRows, format: Format, kind: FileKind) -> Iterator[bytes]:
    """All rows of a set."""
    if format == "charter" and kind == "jsonl":
        return map(charter.stored_lines, rows.stored())
    batches = pairs_together(rows) if LAYOUTS[format].by_pair else rows.batches()
    return export_chunks(batches, format, kind)


def left_out(batches: Batches, format: Format) -> int:
    """How many rows the format cannot hold."""
    holds = LAYOUTS[format].holds
    return sum(not holds(row) for batch in batches for row in batch)


# Each is written as soon as it is made: a thousand nested objects held at once keep the garbage collector busy.
Lines = Iterator[Iterator[dict[str, JsonValue]]]


def _jsonl(lines: Lines) -> Iterator[bytes]:
    for batch in lines:
        yield b"".join([to_json(line) + b"\n" for line in batch])


def _array(lines: Lines) -> Iterator[bytes]:
    before = b"["
    for batch in lines:
        if texts := b",\n".join(map(to_json, batch)):
            yield before + texts
            before = b",\n"
    yield b"]\n" if before != b"[" else b"[]\n"


def _csv(lines: Lines, layout: Layout) -> Iterator[bytes]:
    names: list[str] = layout.schema.names
    header: list[list[str]] = [names]
    for batch in lines:
        yield _csv_text(header + [cells_of(line, names) for line in batch])
        header = []
    if header:
        yield _csv_text(header)


def _csv_text(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def _parquet(lines: Lines, layout: Layout) -> Iterator[bytes]:
    sink = _Sink()
    texts = [field.name for field in layout.schema if field.type == pa.string()]
    with pq.ParquetWriter(sink, layout.schema, compression="zstd") as writer:
        for batch in lines:
            plain = [line | {name: _text(line.get(name)) for name in texts} for line in batch]
            writer.write_table(pa.Table.from_pylist(plain, schema=layout.schema))
            yield sink.taken()
    yield sink.taken()


def _text(value: JsonValue) -> str | None:
    """What a column of texts holds: an object as JSON."""
    return value if isinstance(value, str) or value is None else to_json(value).decode()


class _Sink(io.RawIOBase):
    """A file that is only written to, and emptied meanwhile."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)

"""Bulk rows as Parquet, and shards: files named by the hash of what made them, made once.

Records are the frozen dataclasses of `judges.records` and `training.rows`. Scalars have columns of their own, so that
other tools can read them; tuples, dataclasses and verdicts are JSON in theirs.
"""

import dataclasses
import functools
import hashlib
import io
import json
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue, TypeAdapter

from service.artifacts import Artifacts
from service.errors import ServiceError

Record = TypeVar("Record")
# Files are read by groups: a page of a large one costs one group's memory.
ROWS_PER_GROUP = 4096
_COLUMNS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


async def ensure_shard(
    artifacts: Artifacts, key: str, kind: type[Record], make: Callable[[], Awaitable[Sequence[Record]]]
) -> tuple[Record, ...]:
    """Read the shard, or make and publish it. Where another process was first, its rows are the ones that count."""
    if await artifacts.exists(key):
        return from_parquet(await artifacts.get(key), kind)
    rows = await make()
    if await artifacts.put_new(key, to_parquet(rows, kind)):
        return tuple(rows)
    return from_parquet(await artifacts.get(key), kind)


def to_parquet(rows: Sequence[Record], kind: type[Record] | None = None) -> bytes:
    """The rows as one Parquet file; the same rows give the same bytes. `kind` is needed where there may be none."""
    kind = kind or type(rows[0])
    out = io.BytesIO()
    with pq.ParquetWriter(out, record_schema(kind), compression="zstd") as writer:
        for start in range(0, len(rows), ROWS_PER_GROUP):
            writer.write_table(table_of(rows[start : start + ROWS_PER_GROUP], kind))
    return out.getvalue()


def from_parquet(data: bytes, kind: type[Record]) -> tuple[Record, ...]:
    """The rows of a file that `to_parquet` wrote. Raises ServiceError for any other."""
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise ServiceError(
            f"a shard of {kind.__name__} cannot be read ({error}); delete it and resume the run"
        ) from error
    return records_of(table, kind)


def record_schema(kind: type[object]) -> pa.Schema:
    """The columns of a kind of record."""
    return pa.schema([(name, _column(hint)) for name, hint in _hints(kind).items()])


def table_of(rows: Sequence[object], kind: type[object]) -> pa.Table:
    """Some rows as a table: a row group of a file."""
    values = {name: [_cell(getattr(row, name), hint) for row in rows] for name, hint in _hints(kind).items()}
    return pa.table(values, schema=record_schema(kind))


def records_of(table: pa.Table | pa.RecordBatch, kind: type[Record]) -> tuple[Record, ...]:
    """The rows of a table with all columns. Raises ServiceError for other columns."""
    hints = _hints(kind)
    if set(table.schema.names) != set(hints):
        raise ServiceError(f"a shard of {kind.__name__} has other columns; it was written by another version")
    columns = {name: _values(table.column(name).to_pylist(), hint) for name, hint in hints.items()}
    return tuple(kind(*row) for row in zip(*columns.values(), strict=True))


async def publish_shard(artifacts: Artifacts, key: str, rows: Sequence[Record], kind: type[Record]) -> None:
    """Publish, where nobody did."""
    await artifacts.put_new(key, to_parquet(rows, kind))


async def read_shards(artifacts: Artifacts, keys: Iterable[str], kind: type[Record]) -> tuple[Record, ...]:
    """The rows of several shards, one after the other."""
    return tuple([row for key in keys for row in await read_shard(artifacts, key, kind)])


def shard_key(folder: str, matter: JsonValue) -> str:
    """The key of a shard: a hash over all that shapes its rows."""
    text = json.dumps(matter, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{folder}/{hashlib.sha256(text.encode(errors='replace')).hexdigest()}.parquet"


def keys_in(result: Mapping[str, JsonValue], name: str = "shards") -> tuple[str, ...]:
    """The keys that a stage's result lists."""
    keys = result[name]
    return tuple(str(key) for key in keys) if isinstance(keys, list) else ()


async def read_shard(artifacts: Artifacts, key: str, kind: type[Record]) -> tuple[Record, ...]:
    """The rows of a shard that is there. Raises NotFound."""
    return from_parquet(await artifacts.get(key), kind)


def _hints(kind: type[object]) -> Mapping[str, object]:
    if not dataclasses.is_dataclass(kind):
        raise ServiceError(f"{kind.__name__} is no record; shards hold dataclasses")
    hints = get_type_hints(kind)
    return {declared.name: hints[declared.name] for declared in dataclasses.fields(kind)}


def _column(hint: object) -> pa.DataType:
    if get_origin(hint) is Literal:
        return pa.string()
    return _COLUMNS.get(hint, pa.string()) if isinstance(hint, type) else pa.string()  # everything else is JSON


def _is_plain(hint: object) -> bool:
    return hint in _COLUMNS or get_origin(hint) is Literal


def _cell(value: object, hint: object) -> object:
    if _is_plain(hint):
        return value
    return json.dumps(_tagged(value, hint), ensure_ascii=False, allow_nan=False)


def _tagged(value: object, hint: object) -> JsonValue:
    """JSON of a nested value; of a union of dataclasses, with the name of the one it is."""
    data: JsonValue = _adapter(hint).dump_python(value, mode="json")
    return {type(value).__name__: data} if _is_union(hint) else data


def _values(cells: list[object], hint: object) -> list[object]:
    """A column's cells as values; a text that stands in several of them is read once."""
    if _is_plain(hint):
        return cells
    known = {cell: _value(str(cell), hint) for cell in set(cells)}
    return [known[cell] for cell in cells]


def _value(cell: str, hint: object) -> object:
    if not _is_union(hint):
        return _adapter(hint).validate_json(cell)
    ((name, data),) = json.loads(cell).items()
    return _adapter(next(option for option in get_args(hint) if option.__name__ == name)).validate_python(data)


def _is_union(hint: object) -> bool:
    return isinstance(hint, types.UnionType) or get_origin(hint) is Union


@functools.cache
def _adapter(hint: object) -> TypeAdapter[object]:
    return TypeAdapter(hint)  # type: ignore[arg-type]  # a hint read at run time

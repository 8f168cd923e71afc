"""What the stages do with shards beyond one file: keys by hash, several at once, the keys in a stage's result."""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import JsonValue

from service.artifacts import Artifacts
from service.shards import read_shard, to_parquet
from service.store.records import JsonObject

Row = TypeVar("Row")


def shard_key(kind: str, made_of: list[JsonValue]) -> str:
    """`KIND/HASH.parquet`, the hash over everything that decides the rows: the same work has the same key."""
    text = json.dumps(made_of, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{kind}/{hashlib.sha256(text.encode('utf-8', errors='replace')).hexdigest()}.parquet"


def keys_in(result: JsonObject, name: str = "shards") -> list[str]:
    """The shard keys that a stage's result lists."""
    value = result[name]
    return [str(key) for key in value] if isinstance(value, list) else []


async def read_shards(artifacts: Artifacts, keys: Sequence[str], kind: type[Row]) -> tuple[Row, ...]:
    """The rows of several shards, in order."""
    return tuple([row for key in keys for row in await read_shard(artifacts, key, kind)])


async def publish_shard(artifacts: Artifacts, key: str, rows: Sequence[Row], kind: type[Row]) -> None:
    """Publish, unless another worker was faster: then its rows are the ones that count."""
    await artifacts.put_new(key, to_parquet(rows, kind))

"""The rows that a run's stages made, as pages of JSON, read from its shards."""

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter

from judges.records import PrincipleVerdict, Revision, Sample
from service.artifacts import Artifacts
from service.shards import read_shard
from service.store.records import StageRecord

Kind = type[Sample] | type[Revision] | type[PrincipleVerdict]
_STAGES = {"Sample": "sample", "Revision": "revise", "PrincipleVerdict": "judge"}


async def run_rows(
    stages: Mapping[str, StageRecord], artifacts: Artifacts, kind: Kind, skip: int, limit: int
) -> tuple[list[JsonValue], int]:
    """Rows `skip` to `skip + limit` and how many there are; none while the stage has not finished."""
    record = stages.get(_STAGES[kind.__name__])
    keys = record.result.get("shards", []) if record else []
    page: list[JsonValue] = []
    total = 0
    for key in keys if isinstance(keys, list) else []:
        rows = await read_shard(artifacts, str(key), kind)
        first, last = max(0, skip - total), max(0, skip + limit - total)
        page += [_json(row) for row in rows[first:last]]
        total += len(rows)
    return page, total


def _json(row: Sample | Revision | PrincipleVerdict) -> JsonValue:
    value: JsonValue = TypeAdapter(type(row)).dump_python(row, mode="json")
    return value

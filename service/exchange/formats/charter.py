"""Our own lines: the form that holds all of a row, and nothing else. A machine's row stays a machine's."""

import functools
import json
from collections.abc import Mapping
from json.encoder import encode_basestring

import pyarrow as pa
from pydantic import JsonValue

from service.exchange.formats.pair import as_number
from service.exchange.formats.trl import MESSAGES
from service.exchange.messages import ends_with_user
from training.rows import PreferenceRow, row_from_json, row_object

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "prompt_id")),
        *((name, MESSAGES) for name in ("prompt", "chosen", "rejected")),
        ("p_chosen", pa.float64()),
        ("weight", pa.float64()),
        ("source", pa.string()),
        ("judge", pa.string()),
        ("annotators", pa.list_(pa.string())),
        ("constitution_sha256", pa.string()),
        ("per_principle", pa.list_(pa.struct([("id", pa.string()), ("p_chosen", pa.float64())]))),
        ("origin", pa.string()),
        ("tags", pa.map_(pa.string(), pa.string())),
    ]
)


def read(value: Mapping[str, JsonValue], place: str) -> PreferenceRow:
    """Raises RowError, which names the place, and ValueError, which does not."""
    plain = dict(value)
    for name in ("p_chosen", "weight"):
        if isinstance(plain.get(name), str):  # a table's cell
            number = as_number(plain[name])
            plain[name] = plain[name] if number is None else number
    if isinstance(tags := plain.get("tags"), list):  # a Parquet map
        plain["tags"] = _mapping(tags)
    # A table's other columns may hold times and the like, which no field is read from.
    row = row_from_json(json.dumps(plain, ensure_ascii=False, default=str), place)
    ends_with_user(row.prompt, "prompt")
    if row.chosen == row.rejected:
        raise ValueError("chosen and rejected are the same text")
    return row


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    return row_object(row)


def stored_lines(batch: pa.RecordBatch) -> bytes:
    """The same lines from the columns of a set's file, where lists stand as JSON already: several times as fast."""
    cells = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    texts = {name: map(encode_basestring, cells[name]) for name in _TEXTS}
    numbers = {name: map(repr, cells[name]) for name in ("p_chosen", "weight")}
    objects = {name: map(functools.lru_cache(_OBJECTS_KEPT)(_OBJECTS[name]), cells[name]) for name in _OBJECTS}
    columns = cells | texts | numbers | objects
    return "".join(map(_LINE.__mod__, zip(*(columns[name] for name in SCHEMA.names), strict=True))).encode()


def _answers_object(cell: str) -> str:
    answers = json.loads(cell)
    return json.dumps([{"id": id, "p_chosen": p_chosen} for id, p_chosen in answers], ensure_ascii=False)


def _tags_object(cell: str) -> str:
    return json.dumps(dict(json.loads(cell)), ensure_ascii=False)


_TEXTS = ("id", "prompt_id", "chosen", "rejected", "source", "judge", "constitution_sha256", "origin")
_OBJECTS = {"per_principle": _answers_object, "tags": _tags_object}
_OBJECTS_KEPT = 1024
_REPLIES = dict.fromkeys(("chosen", "rejected"), '[{"role":"assistant","content":%s}]')
_LINE = "{" + ",".join(f'"{name}":{_REPLIES.get(name, "%s")}' for name in SCHEMA.names) + "}\n"


def _mapping(pairs: list[JsonValue]) -> JsonValue:
    """A list of two-item lists as an object; anything else as it is, for the reader to refuse."""
    items = [item for item in pairs if isinstance(item, list | tuple) and len(item) == 2]
    return {str(name): tag for name, tag in items} if len(items) == len(pairs) else pairs

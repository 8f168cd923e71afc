"""Texts that a kind of file forbids are told with their place; those that it allows come in as they are."""

import io
import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.exchange.preferences import PreferenceFile, scan_preferences
from service.exchange.records import BrokenLine
from training.rows import PreferenceRow

GOOD = {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}
ALLOWED = (
    "\u2028",
    "\u2029",
    "\u0085",
    "\x0b",
    "\x1c",
    "\r",
    "\n",
    "\r\n",
    '"',
    "'",
    "\\",
    ",",
    "\0",
    "\ufeff",
    "\u202e",
)


def scan(data: bytes, name: str) -> list[object]:
    return list(scan_preferences(PreferenceFile(data, name, "", "trl", "upload")))


def problems(data: bytes, name: str = "x.jsonl") -> list[str]:
    return [one.problem for one in scan(data, name) if isinstance(one, BrokenLine)]


@pytest.mark.parametrize("text", ALLOWED)
def test_marks_inside_a_text_end_no_line_of_json(text: str) -> None:
    for ascii_only in (True, False):
        line = json.dumps(GOOD | {"chosen": f"a{text}b"}, ensure_ascii=ascii_only)
        (row,) = scan(f"{line}\n".encode(), "x.jsonl")
        assert isinstance(row, PreferenceRow) and row.chosen == f"a{text}b"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b'{"prompt": "a\0b", "chosen": "x", "rejected": "y"}', "not JSON: Invalid control character"),
        (b'{"prompt": "a\tb", "chosen": "x", "rejected": "y"}', "not JSON: Invalid control character"),
        (b'{"prompt": "a\\ud800", "chosen": "x", "rejected": "y"}', "half of a surrogate pair"),
        (b'{"prompt": "a", "chosen": "x\xff", "rejected": "y"}', "is not UTF-8"),
        (b'{"prompt": "a", "chosen": NaN, "rejected": "y"}', "NaN is not JSON"),
        (b'{"prompt": "a", "chosen": "x", "chosen": "y"}', "a key stands twice"),
    ],
)
def test_what_json_forbids_is_told_with_its_line(bad: bytes, told: str) -> None:
    good = json.dumps(GOOD).encode()
    (problem,) = problems(b"\n".join([good, bad, good]))
    assert problem.startswith("line 2: ") and told in problem


def test_a_line_break_in_a_text_of_json_breaks_both_lines() -> None:
    broken = json.dumps(GOOD).replace("Because.", "Beca\nuse.")
    assert [problem.split(":")[0] for problem in problems(broken.encode())] == ["line 1", "line 2"]


def test_bytes_that_are_no_utf8_in_a_parquet_table_are_told_with_their_row() -> None:
    columns = {name: [text.encode(), b"a\xffb", b"\xfe"] for name, text in GOOD.items()}
    table = pa.table({name: pa.array(values, pa.binary()).view(pa.string()) for name, values in columns.items()})
    out = io.BytesIO()
    pq.write_table(table, out)
    read = scan(out.getvalue(), "x.parquet")
    assert isinstance(read[0], PreferenceRow)
    told = [one.problem for one in read if isinstance(one, BrokenLine)]
    assert [problem.split(":")[0] for problem in told] == ["row 2", "row 3"] and "is not UTF-8" in told[0]


def test_a_column_of_times_beside_ours_is_left_aside() -> None:
    ours = {"id": "r1", "prompt_id": "p1", "source": "human", **GOOD}
    table = pa.table({name: [text] for name, text in ours.items()} | {"at": [datetime(2026, 1, 2)], "raw": [b"\xff"]})
    out = io.BytesIO()
    pq.write_table(table, out)
    (row,) = scan_preferences(PreferenceFile(out.getvalue(), "x.parquet", "", "charter", "upload"))
    assert isinstance(row, PreferenceRow) and row.id == "r1"

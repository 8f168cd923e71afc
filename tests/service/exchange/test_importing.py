"""A file becomes a set's file: broken lines refuse it, or are skipped and named where that was asked for."""

from pathlib import Path

import pytest

from service.errors import InvalidInput
from service.exchange.importing import import_preferences, write_preference_rows
from service.exchange.preferences import PreferenceFile, read_preferences
from service.preference_rows import PreferenceRows
from service.shards import ROWS_PER_GROUP, to_parquet

GOOD = '{"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}\n'
OTHER = '{"prompt": "How?", "chosen": "So.", "rejected": "Hm."}\n'
BROKEN = '{"prompt": "x", "chosen": "y", "rejected": "y"}\n{nothing\n[]\n'


def file(text: str, name: str = "p.jsonl") -> PreferenceFile:
    return PreferenceFile(text.encode(), name, "", None, name)


def test_a_broken_line_refuses_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as told:
        import_preferences(file(GOOD + BROKEN), tmp_path / "rows", skip_broken=False)
    assert [problem.split(":")[0] for problem in told.value.problems] == ["line 2", "line 3", "line 4"]


def test_broken_lines_are_skipped_and_named_where_asked(tmp_path: Path) -> None:
    found = import_preferences(file(GOOD + BROKEN + OTHER), tmp_path / "rows", skip_broken=True)
    assert (found.rows, found.report["rows"], found.report["skipped_lines"]) == (2, 2, 3)
    assert [str(said).split(":")[0] for said in found.report["skipped"]] == ["line 2", "line 3", "line 4"]
    with (tmp_path / "rows").open("rb") as written:
        (batch,) = PreferenceRows(written).batches()
    assert [row.origin for row in batch] == ["p.jsonl, line 1", "p.jsonl, line 5"]


def test_a_table_with_a_short_row_and_a_line_that_is_no_utf8(tmp_path: Path) -> None:
    text = "prompt,chosen,rejected\nWhy?,Because.,Hm.\nonly,two\n"
    assert import_preferences(file(text, "p.csv"), tmp_path / "a", skip_broken=True).report["skipped_lines"] == 1
    data = PreferenceFile(GOOD.encode() + b"\xff\n", "p.jsonl", "", None, "p")
    found = import_preferences(data, tmp_path / "b", skip_broken=True)
    assert found.report["skipped"] == ["line 2: byte 60 is not UTF-8; save the file as UTF-8"]


def test_nothing_but_broken_lines_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="line 1: chosen and rejected are the same text"):
        import_preferences(file(BROKEN), tmp_path / "rows", skip_broken=True)


def test_row_by_row_gives_the_same_bytes_as_all_at_once(tmp_path: Path) -> None:
    text = "".join(GOOD.replace("Why?", f"Why {n}?") for n in range(ROWS_PER_GROUP + 3))
    rows = read_preferences(text.encode(), "p.jsonl", "", None, "p.jsonl")
    write_preference_rows(tmp_path / "rows", iter(rows))
    assert (tmp_path / "rows").read_bytes() == to_parquet(rows)

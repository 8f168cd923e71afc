"""A file becomes a set's file: broken lines refuse it, or are skipped and named; a row that stands twice is one."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.exchange.importing import import_preferences, write_preference_rows
from service.exchange.preferences import PreferenceFile, read_preferences, scan_preferences
from service.exchange.records import RepeatedRow
from service.preference_rows import PreferenceRows
from service.shards import ROWS_PER_GROUP, to_parquet
from training.rows import PreferenceRow

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


def test_the_first_line_may_be_the_broken_one(tmp_path: Path) -> None:
    found = import_preferences(file('{"foo": 1}\n' + GOOD), tmp_path / "rows", skip_broken=True)
    assert (found.rows, found.report["skipped_lines"]) == (1, 1)
    assert str(found.report["skipped"]).startswith("['line 1: no known format has the keys foo")
    with pytest.raises(InvalidInput, match="line 1: no known format has the keys foo"):
        import_preferences(file('{"foo": 1}\n' + GOOD), tmp_path / "rows", skip_broken=False)


def test_a_file_of_no_format_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"line 100: no known format .*; so it is on the lines before"):
        import_preferences(file('{"foo": 1}\n' * 99 + '{"foo": 1}\n' + GOOD), tmp_path / "rows", skip_broken=True)
    assert import_preferences(file('{"foo": 1}\n' * 99 + GOOD), tmp_path / "rows", skip_broken=True).rows == 1


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


def test_a_row_that_stands_twice_is_counted_with_its_line_and_the_first_ones(tmp_path: Path) -> None:
    doubted = GOOD.replace("}", ', "p_chosen": 0.75}')
    named = GOOD.replace("}", ', "annotator": "ann_1"}')
    found = import_preferences(file(GOOD + OTHER + "\n" + GOOD + doubted + named), tmp_path / "rows", skip_broken=False)
    assert (found.rows, found.report["repeated_rows"]) == (3, 2)
    assert found.report["repeated"] == [
        "line 4: the same row as line 1",
        "line 5: who says so already did on line 1, with another belief, weight or tag, which counts",
    ]


def test_an_answer_that_a_record_holds_twice_is_counted_too(tmp_path: Path) -> None:
    answer = {"status": "submitted", "user_id": "u1", "values": {"preference": {"value": "a"}}}
    fields = {"prompt": "Why?", "response_a": "Because.", "response_b": "Hm."}
    text = json.dumps([{"fields": fields, "responses": [answer, answer]}] * 2)
    found = import_preferences(file(text, "records.json"), tmp_path / "rows", skip_broken=False)
    assert found.rows == 1
    assert found.report["repeated"] == ["item 1: the same row as item 1"] + ["item 2: the same row as item 1"] * 2


@settings(deadline=None, max_examples=30)
@given(drawn=st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_rows_and_repeated_rows_are_all_that_came(drawn: list[int]) -> None:
    lines = [GOOD.replace("Why?", f"Why {n}?") for n in drawn]
    read = list(scan_preferences(file("".join(lines))))
    first = {n: drawn.index(n) + 1 for n in drawn}
    told = [f"line {n}: the same row as line {first[d]}" for n, d in enumerate(drawn, start=1) if first[d] != n]
    assert [one.problem for one in read if isinstance(one, RepeatedRow)] == told
    assert sum(isinstance(one, PreferenceRow) for one in read) == len(first)

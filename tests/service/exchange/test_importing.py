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


def test_second_labels_of_nobodys_name_are_counted_whether_they_agree_or_not(tmp_path: Path) -> None:
    against = GOOD.replace("Because.", "x").replace("Hm.", "Because.").replace("x", "Hm.")
    lines = [GOOD, against, OTHER, GOOD, against, GOOD.replace("}", ', "annotator": "ann_1"}')]
    found = import_preferences(file("".join(lines)), tmp_path / "rows", skip_broken=False)
    # Both winners of the first pair, the second pair, and the one with a name; lines 4 and 5 say again what was said.
    assert (found.rows, found.report["repeated_rows"]) == (4, 2)
    assert found.report["notices"] == {"agrees_unnamed": 2, "contradicts_unnamed": 1}
    assert found.report["noticed"] == [
        "line 2: contradicts_unnamed", "line 4: agrees_unnamed", "line 5: agrees_unnamed",
    ]  # fmt: skip
    assert "notices" not in import_preferences(file(OTHER), tmp_path / "other", skip_broken=False).report


def test_dialogues_that_go_on_after_they_part_are_counted(tmp_path: Path) -> None:
    start = "\n\nHuman: hi\n\nAssistant: "
    early = {
        "chosen": f"{start}a\n\nHuman: more?\n\nAssistant: c",
        "rejected": f"{start}b\n\nHuman: ok\n\nAssistant: d",
    }
    whole = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": said}] for said in "ab"]
    longer = [*whole[1], {"role": "user", "content": "ok"}, {"role": "assistant", "content": "d"}]
    for n, lines in enumerate(
        (
            [{"chosen": f"{start}a", "rejected": f"{start}b"}, early],
            [{"chosen": whole[0], "rejected": whole[1]}, {"chosen": whole[0], "rejected": longer, "annotator": "x"}],
        )
    ):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        report = import_preferences(file(text), tmp_path / str(n), skip_broken=False).report
        assert (report["notices"]["parted_early"], report["noticed"][0]) == (1, "line 2: parted_early")


def test_tools_that_no_row_holds_and_replies_of_several_messages_are_counted(tmp_path: Path) -> None:
    said = [{"role": "assistant", "content": one} for one in "xyz"]
    asked = {"messages": [{"role": "user", "content": "hi"}], "tools": []}
    tools = asked | {"tools": [{"type": "function", "function": {"name": "weather"}}]}
    lines = [
        {"input": asked, "preferred_output": said[:1], "non_preferred_output": said[1:2]},
        {"input": tools, "preferred_output": said[:2], "non_preferred_output": said[2:]},
    ]
    report = import_preferences(
        file("".join(json.dumps(line) + "\n" for line in lines)), tmp_path / "a", skip_broken=True
    )
    assert report.report["noticed"] == ["line 2: left_out", "line 2: joined"]
    trl = GOOD + OTHER.replace("}", ', "tools": [], "chat_template_kwargs": {"thinking": true}}').replace("'", '"')
    found = import_preferences(file(trl), tmp_path / "b", skip_broken=False)
    assert found.report["noticed"] == ["line 2: left_out"]


def test_records_that_nobody_answered_and_scores_that_are_no_belief_are_counted(tmp_path: Path) -> None:
    fields = {"prompt": "Why?", "response_a": "Because.", "response_b": "Hm."}
    answer = {"status": "submitted", "user_id": "u1", "values": {"preference": {"value": "a"}}}
    draft, comment = answer | {"status": "draft"}, answer | {"values": {"why": {"value": "hm"}}}
    machine = {"question_name": "preference", "value": "a", "agent": "j", "score": 0.4}
    records = [{"fields": fields, "responses": [one]} for one in (answer, draft, comment)]
    text = json.dumps([*records, {"fields": fields, "suggestions": [machine]}])
    found = import_preferences(file(text, "records.json"), tmp_path / "a", skip_broken=False)
    assert (found.rows, found.report["notices"]) == (2, {"no_belief": 1, "unanswered": 2})
    assert found.report["noticed"] == ["item 2: unanswered", "item 3: unanswered", "item 4: no_belief"]
    result = {"type": "choices", "value": {"choices": ["A is better"]}}
    task = {"data": fields, "annotations": [{"completed_by": 7, "result": [result]}]}
    picked = task | {"annotations": [{"result": [{"type": "pairwise", "value": {"selected": "left"}}]}]}
    found = import_preferences(file(json.dumps([task, picked]), "tasks.json"), tmp_path / "b", skip_broken=False)
    assert (found.rows, found.report["notices"]) == (1, {"unanswered": 1})


@pytest.mark.parametrize(("chosen", "rejected", "told"), [(9, 2, []), (2, 9, ["line 1: scores_against"]), (4, 4, [])])
def test_scores_that_speak_against_the_chosen_reply_are_counted(
    tmp_path: Path, chosen: float, rejected: float, told: list[str]
) -> None:
    binarized = {"prompt": "Why?", "chosen": "A", "rejected": "B", "score_chosen": chosen, "score_rejected": rejected}
    nemo = {"prompt": "Why?", "chosen_response": "A", "rejected_response": "B"}
    for line in (binarized, nemo | {"chosen_reward": chosen, "rejected_reward": rejected}):
        report = import_preferences(file(json.dumps(line)), tmp_path / "rows", skip_broken=False).report
        assert (report["human"], report.get("noticed", [])) == (1, told)


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

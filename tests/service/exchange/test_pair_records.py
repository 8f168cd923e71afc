"""Records of labelling tools that hold several answers: our rows go out together, and come back as they were."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import Message
from service.exchange.export import FileKind, export_chunks, stored_chunks
from service.exchange.formats.registry import Format
from service.exchange.pairs_together import pairs_together
from service.exchange.preferences import holds, read_preferences
from service.preference_rows import PreferenceRows
from service.shards import to_parquet
from training.rows import PreferenceRow, conversation_id

WHY = (Message("user", "Why?"),)
ROW = PreferenceRow("r", conversation_id(WHY), WHY, "Because.", "Hm.", 1.0, 1.0, "human", annotators=("ann_1",))
TOOLS: tuple[Format, ...] = ("argilla", "label-studio")
PEOPLE_KEY = {"argilla": "responses", "label-studio": "annotations"}
MACHINES_KEY = {"argilla": "suggestions", "label-studio": "predictions"}
PEOPLE = st.sampled_from([(), ("ann_1",), ("ann_2",), ("ann_1", "ann_2"), ("ann_3", "ann_2", "ann_1")])


@st.composite
def rows_on_few_pairs(draw: st.DrawFn) -> list[PreferenceRow]:
    """People's and machines' rows, several on one pair, in either direction, with ids of their own."""
    made = []
    for number in range(draw(st.integers(1, 8))):
        chosen, rejected = draw(st.permutations(["Because.", "Hm."]))
        source = draw(st.sampled_from(["human", "ai", "check"]))
        asked = draw(st.sampled_from([WHY, (Message("user", "How?"),)]))
        row = replace(ROW, id=f"r{number}", prompt=asked, chosen=chosen, rejected=rejected, source=source)
        belief, weight = draw(st.sampled_from([0.5, 0.6, 0.75, 1.0])), draw(st.sampled_from([0.0, 0.5, 2.0]))
        annotators, judge = (draw(PEOPLE), "") if source == "human" else ((), draw(st.sampled_from(["", "big"])))
        tags = draw(st.sampled_from([(), (("chosen_shown", "second"),), (("chosen_shown", "first"), ("x", "y"))]))
        tags += draw(st.sampled_from([(), (), (("record_id", "E1"),), (("record_id", "E2"),)]))
        made.append(replace(row, p_chosen=belief, weight=weight, annotators=annotators, judge=judge, tags=tags))
    return made


def lines(rows: list[PreferenceRow], format: Format) -> list[dict]:
    return [json.loads(line) for line in b"".join(export_chunks([rows], format, "jsonl")).splitlines()]


def read(values: list[dict], format: Format) -> list[PreferenceRow]:
    return read_preferences(json.dumps(values).encode(), "x.json", "", format, "upload")


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("format", TOOLS)
@settings(deadline=None, max_examples=30)
@given(rows=rows_on_few_pairs())
def test_every_row_comes_back_as_it_was_and_once(format: Format, kind: FileKind, rows: list[PreferenceRow]) -> None:
    held = [row for row in rows if holds(format, row)]
    if held:
        data = b"".join(export_chunks([rows], format, kind))
        back = read_preferences(data, f"x.{kind}", "", format, "upload")
        assert sorted(back, key=lambda row: row.id) == held


@pytest.mark.parametrize("format", TOOLS)
@settings(deadline=None, max_examples=30)
@given(rows=rows_on_few_pairs())
def test_nobody_answers_a_record_twice(format: Format, rows: list[PreferenceRow]) -> None:
    argilla = format == "argilla"
    for line in lines(rows, format):
        said = [one["user_id"] if argilla else one.get("completed_by") for one in line[PEOPLE_KEY[format]]]
        named = [json.dumps(who) for who in said if who is not None]
        assert len(named) == len(set(named))
        # One question has one suggestion; of predictions there may be one for each judge.
        machines = [None if argilla else one["model_version"] for one in line[MACHINES_KEY[format]]]
        assert len(machines) == len(set(machines))


def test_people_on_one_pair_are_responses_of_one_record() -> None:
    other = replace(ROW, id="r2", chosen="Hm.", rejected="Because.", annotators=("ann_2",), weight=0.5)
    (record,) = lines([ROW, other], "argilla")
    assert [(one["user_id"], one["values"]["preference"]["value"]) for one in record["responses"]] == [
        ("ann_1", "a"),
        ("ann_2", "b"),
    ]
    (task,) = lines([ROW, other], "label-studio")
    assert [(one["completed_by"], one["result"][0]["value"]["selected"]) for one in task["annotations"]] == [
        ({"email": "ann_1"}, "left"),
        ({"email": "ann_2"}, "right"),
    ]
    assert read([record], "argilla") == read([task], "label-studio") == [ROW, other]


@pytest.mark.parametrize("format", TOOLS)
def test_the_pairs_of_one_choice_come_back_with_what_they_weigh(format: Format) -> None:
    fields = {"prompt": "Why?", **{f"response_{name}": name.upper() for name in "abcd"}}
    order = [{"value": name, "rank": rank} for rank, name in enumerate("badc", start=1)]
    answers = [
        {"status": "submitted", "user_id": who, "values": {"preference": {"value": said}}}
        for who, said in (("ann_1", "c"), ("ann_2", order))
    ]
    rows = read([{"fields": fields, "responses": answers}], "argilla")
    # the best of four: three rows of 2 / 4; a ranking of four: six of 3 / 5
    assert [row.weight for row in rows] == [0.5] * 3 + [0.6] * 6
    assert sorted(read(lines(rows, format), format), key=repr) == sorted(rows, key=repr)


def test_an_answer_that_was_changed_in_the_tool_is_a_new_one() -> None:
    # Two people's aggregated row, then one of them picks the other reply, and a third person answers.
    both = replace(ROW, annotators=("ann_1", "ann_2"), p_chosen=0.75, weight=2.0)
    (record,) = lines([both], "argilla")
    record["responses"][1]["values"] = {"preference": {"value": "b"}}
    third = {"values": {"preference": {"value": "a"}}, "status": "submitted", "user_id": "ann_3"}
    back = read([record | {"responses": [*record["responses"], third]}], "argilla")
    assert [(row.annotators, row.chosen, row.p_chosen, row.weight) for row in back] == [
        (("ann_1",), "Because.", 1.0, 1.0),
        (("ann_2",), "Hm.", 1.0, 1.0),
        (("ann_3",), "Because.", 1.0, 1.0),
    ]
    assert [row.tags for row in back] == [(), (), (("chosen_shown", "first"),)]
    # One more answer beside it leaves the row as it was.
    (whole,) = lines([both], "argilla")
    back = read([whole | {"responses": [*whole["responses"], third]}], "argilla")
    assert back[0] == both and [row.annotators for row in back[1:]] == [("ann_3",)]


def test_a_tools_own_record_comes_out_as_the_same_record() -> None:
    answer = {"values": {"preference": {"value": "a"}}, "status": "submitted", "user_id": "u"}
    fields = {"prompt": "Why?", "response_a": "Because.", "response_b": "Hm."}
    given = {"id": "r1", "external_id": "E1", "metadata": {"country": "DE", "turns": 2}, "fields": fields}
    rows = read([given | {"responses": [answer]}], "argilla")
    assert dict(rows[0].tags)["record_id"] == "E1"
    (record,) = lines(rows, "argilla")
    assert record["external_id"] == "E1"
    assert {name: value for name, value in record["metadata"].items() if name != "charter_rows"} == given["metadata"]
    assert read([record], "argilla") == rows
    # A ranking of three is three records, which cannot all be the one that it came from.
    three = given | {"fields": fields | {"response_c": "So."}, "responses": [answer]}
    assert "E1" not in [one["external_id"] for one in lines(read([three], "argilla"), "argilla")]


def test_the_names_of_a_tools_fields_questions_and_controls_come_out_as_ours() -> None:
    fields = {"prompt": "Why?", "response1": "Because.", "response2": "Hm.", "context": "A walk."}
    answer = {"values": {"which": {"value": "response1"}}, "status": "submitted", "user_id": "u"}
    (record,) = lines(read([{"id": "r1", "fields": fields, "responses": [answer]}], "argilla"), "argilla")
    assert set(record["fields"]) == {"prompt", "response_a", "response_b"}
    assert set(record["responses"][0]["values"]) == {"preference"}
    picked = [{"from_name": "which", "to_name": "both", "type": "pairwise", "value": {"selected": "left"}}]
    data = {"question": "Why?", "text1": "Because.", "text2": "Hm."}
    (task,) = lines(
        read([{"id": 5, "data": data, "annotations": [{"result": picked}]}], "label-studio"), "label-studio"
    )
    assert set(task["data"]) == {"prompt", "response_a", "response_b"}
    (result,) = task["annotations"][0]["result"]
    assert (result["from_name"], result["to_name"]) == ("preference", "preference")


@pytest.mark.parametrize("id", ["external_id", ""])
def test_two_records_of_a_tool_on_one_pair_stay_two(id: str) -> None:
    # The second has the replies on the other sides; without ids their metadata tell them apart.
    def record(number: int, a: str, b: str, who: str) -> dict:
        answer = {"values": {"preference": {"value": "a"}}, "status": "submitted", "user_id": who}
        fields = {"prompt": "Why?", "response_a": a, "response_b": b}
        named = {id: f"E{number}"} if id else {}
        return named | {"fields": fields, "metadata": {"batch": number}, "responses": [answer]}

    given = [record(1, "Because.", "Hm.", "ann_1"), record(2, "Hm.", "Because.", "ann_2")]
    # A judge's row of ours came before, and takes a place in the first.
    rows = [replace(ROW, id="j", source="ai", annotators=(), judge="big"), *read(given, "argilla")]
    out = lines(rows, "argilla")
    assert [one["metadata"]["batch"] for one in out] == [1, 2]
    assert [one["responses"][0]["user_id"] for one in out] == ["ann_1", "ann_2"]
    assert [len(one["suggestions"]) for one in out] == [1, 0]
    assert not id or [one["external_id"] for one in out] == ["E1", "E2"]
    assert read(out, "argilla") == rows
    tasks = lines(rows, "label-studio")
    assert [one["meta"]["batch"] for one in tasks] == [1, 2] and read(tasks, "label-studio") == rows


def test_a_task_of_label_studio_keeps_its_id_its_data_and_its_people() -> None:
    picked = [{"type": "pairwise", "value": {"selected": "left"}}]
    who = [1, {"id": 2, "email": "x@y.z"}, {"email": "ann_1"}]
    task = {
        "id": 5,
        "data": {"question": "Why?", "text1": "Because.", "text2": "Hm.", "lang": "de", "turn": 3},
        "annotations": [{"completed_by": one, "result": picked} for one in who],
        "meta": {"batch": 7},
    }
    rows = read([task], "label-studio")
    (again,) = lines(rows, "label-studio")
    assert (again["id"], again["meta"]["batch"]) == (5, 7)
    assert again["data"] == {"lang": "de", "turn": 3, "prompt": "Why?", "response_a": "Because.", "response_b": "Hm."}
    assert [one["completed_by"] for one in again["annotations"]] == [1, {"email": "x@y.z"}, {"email": "ann_1"}]
    assert read([again], "label-studio") == rows


def test_other_texts_are_not_the_row_that_was_written() -> None:
    (record,) = lines([ROW], "argilla")
    record["fields"]["response_a"] = "Because it is so."
    (row,) = read([record], "argilla")
    assert (row.chosen, row.annotators) == ("Because it is so.", ("ann_1",)) and row.id != ROW.id


def test_what_is_no_row_of_ours_is_told_with_its_place() -> None:
    (record,) = lines([ROW], "argilla")
    for entries, told in (
        (["nothing"], r"item 1: metadata.charter_rows\[0\] is no row of ours"),
        ([record["metadata"]["charter_rows"][0].replace('"human"', '"robot"')], r"item 1: metadata.charter_rows\[0\]"),
    ):
        with pytest.raises(Exception, match=told):
            read([record | {"metadata": {"charter_rows": entries}}], "argilla")


@pytest.mark.parametrize("most_waiting", [0, 3, 1000])
def test_rows_of_a_pair_that_stand_apart_come_together(most_waiting: int) -> None:
    asked = [(Message("user", f"{n}?"),) for n in range(1500)]
    rows = [
        replace(ROW, id=f"r{n}{who}", prompt_id=f"p{n}", prompt=prompt, annotators=(who,))
        for who in ("ann_1", "ann_2")
        for n, prompt in enumerate(asked)
        if who == "ann_1" or n % 550 == 0
    ]
    stored = PreferenceRows(io.BytesIO(to_parquet(rows)))
    batches = list(pairs_together(stored, most_waiting))
    assert sorted(row.id for batch in batches for row in batch) == sorted(row.id for row in rows)
    parted = sum(1 for n in (0, 550, 1100) if not any({f"r{n}ann_1", f"r{n}ann_2"} <= ids(batch) for batch in batches))
    # Row 1100 stands in the second batch of 1024, together with the three repeats behind row 1500.
    assert parted == (2 if most_waiting == 0 else 0)
    written = b"".join(stored_chunks(stored, "argilla", "jsonl")).splitlines()
    assert len(written) == 1500


def ids(batch: tuple[PreferenceRow, ...]) -> set[str]:
    return {row.id for row in batch}

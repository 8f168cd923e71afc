"""Every format in every kind of file: out and in again, and what each row keeps of its numbers."""

import io
import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import Message
from service.exchange.cells import cell_of, parsed_cell
from service.exchange.export import MEDIA_TYPES, FileKind, export_chunks, left_out, stored_chunks
from service.exchange.formats.pair import Pair
from service.exchange.formats.registry import FORMATS, Format
from service.exchange.preferences import holds, read_preferences, row_of_pair, write_preferences
from service.preference_rows import PreferenceRows
from service.shards import to_parquet
from tests.service.exchange.test_preferences_out import LETTERS, PROMPTS, TEXT
from training.rows import PreferenceRow, conversation_id, row_to_json

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.25, 0.5, 0.75, 4.0])
ODD = st.sampled_from(['[{"role": "user"}]', '"[1]"', "{}", '"', '"x"', "[", "1.5", "\ufeff", "\r", "a,b\n"])


@st.composite
def rows(draw: st.DrawFn) -> PreferenceRow:
    chosen, rejected = draw(st.lists(TEXT | ODD, min_size=2, max_size=2, unique=True))
    source = draw(st.sampled_from(["human", "ai", "check"]))
    belief, shown = draw(st.floats(0.5, 1)), draw(st.sampled_from(["", "first", "second"]))
    prompt = draw(PROMPTS | ODD.filter(str.strip).map(lambda text: (Message("user", text),)))
    return row_of_pair(
        Pair(
            prompt,
            chosen,
            rejected,
            belief,
            draw(st.floats(0, 1e6)),
            ("ann_1",) if source == "human" else (),
            source=source,
            judge="" if source == "human" else draw(LETTERS),
            tags=(("chosen_shown", shown),) if shown and belief > 0.5 else (),
        ),
        "upload",
    )


def back(rows: list[PreferenceRow], format: Format, kind: FileKind) -> list[PreferenceRow]:
    data = b"".join(export_chunks([rows], format, kind))
    return read_preferences(data, f"x.{kind}", MEDIA_TYPES[kind], format, "upload")


@pytest.mark.parametrize("kind", MEDIA_TYPES)
@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=8)
@given(row=rows())
def test_out_and_in_again(format: Format, kind: FileKind, row: PreferenceRow) -> None:
    if not holds(format, row):
        assert left_out([[row]], format) == 1
        return
    (again,) = back([row], format, kind)
    assert (again.prompt, again.chosen, again.rejected) == (row.prompt, row.chosen, row.rejected)
    if format in ("ultrafeedback", "nemo-aligner"):
        assert again.p_chosen == row.p_chosen
    if format in ("argilla", "label-studio"):
        assert replace(again, id=row.id, origin=row.origin) == row
    if format == "charter":
        assert again == row


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_several_batches_make_one_file(kind: FileKind) -> None:
    whole = [row_of_pair(Pair((Message("user", f"{n}?"),), "Yes.", "No."), "upload") for n in range(5)]
    data = b"".join(export_chunks([whole[:2], [], whole[2:]], "trl", kind))
    read = read_preferences(data, f"x.{kind}", "", None, "upload")
    assert [row.prompt for row in read] == [row.prompt for row in whole]
    none = b"".join(export_chunks([], "trl", kind))
    assert none == {"jsonl": b"", "json": b"[]\n", "csv": b"prompt,chosen,rejected,margin\r\n"}.get(kind, none)


def test_another_program_reads_the_parquet() -> None:
    row = row_of_pair(Pair((Message("user", "Why?"),), "Because.", "Hm."), "upload")
    table = pq.read_table(io.BytesIO(b"".join(export_chunks([[row]], "trl", "parquet"))))
    assert table.to_pylist() == [
        {
            "prompt": [{"role": "user", "content": "Why?"}],
            "chosen": [{"role": "assistant", "content": "Because."}],
            "rejected": [{"role": "assistant", "content": "Hm."}],
            "margin": None,
        }
    ]


@settings(deadline=None, max_examples=30)
@given(
    row=rows(),
    answers=st.lists(st.tuples(TEXT, st.floats(0, 1)), max_size=3).map(tuple),
    tags=st.dictionaries(TEXT, TEXT, max_size=2).map(lambda tags: tuple(tags.items())),
)
def test_the_short_way_out_of_a_sets_file_is_the_same(row: PreferenceRow, answers: tuple, tags: tuple) -> None:
    whole = [replace(row, per_principle=answers, tags=tags), row]
    stored = PreferenceRows(io.BytesIO(to_parquet(whole)))
    lines = b"".join(stored_chunks(stored, "charter", "jsonl")).decode().removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == [json.loads(row_to_json(one)) for one in whole]


@given(text=st.text() | ODD | st.text('"[]{}\\n1', max_size=8))
def test_any_text_comes_back_out_of_a_cell(text: str) -> None:
    assert parsed_cell(cell_of(text)) == text


def test_a_quoted_text_of_another_program_stays_quoted() -> None:
    assert parsed_cell('"To be."') == '"To be."'
    assert parsed_cell('[{"role": "user", "content": "Hi"}]') == [{"role": "user", "content": "Hi"}]


NUMBERED = {
    "trl": {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm.", "margin": 1.5},
    "ultrafeedback": {"prompt": "Why?", "chosen": "A", "rejected": "B", "score_chosen": 8.5, "score_rejected": 3.0},
    "nemo-aligner": {
        "prompt": "Why?",
        "chosen_response": "A",
        "rejected_response": "B",
        "chosen_reward": 4.25,
        "rejected_reward": -1.0,
    },
}


@pytest.mark.parametrize("format", NUMBERED)
def test_margins_scores_and_rewards_stay(format: Format) -> None:
    line = NUMBERED[format]
    (row,) = read_preferences(json.dumps(line).encode(), "", "", None, "upload")
    assert row.p_chosen == 1.0
    (out,) = map(json.loads, b"".join(export_chunks([[row]], format, "jsonl")).splitlines())
    numbers = {name: value for name, value in line.items() if isinstance(value, float)}
    assert {name: out[name] for name in numbers} == numbers
    assert back([row], format, "csv") == [replace(row, origin="upload, line 2")]


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_ultrafeedbacks_own_prompt_id_comes_out_again(kind: FileKind) -> None:
    given = [NUMBERED["ultrafeedback"] | {"prompt": prompt, "prompt_id": "abc"} for prompt in ("Why?", "How?")]
    rows = read_preferences(json.dumps(given).encode(), "", "", None, "upload")
    # One foreign id on two texts: they stay two prompts.
    assert [row.prompt_id for row in rows] == [conversation_id(row.prompt) for row in rows]
    again = back(rows, "ultrafeedback", kind)
    assert [json.loads(line)["prompt_id"] for line in write_preferences(again, "ultrafeedback")] == ["abc", "abc"]


def test_a_prompt_id_of_ours_comes_out_again_and_is_a_tag_only_where_the_text_has_another() -> None:
    row = row_of_pair(Pair((Message("user", "Why?"),), "A", "B"), "upload, line 1")
    assert back([row], "ultrafeedback", "jsonl") == [row]
    named = back([replace(row, prompt_id="ours_1")], "ultrafeedback", "jsonl")
    assert named == [replace(row, tags=(("prompt_id", "ours_1"),))]
    assert json.loads(next(write_preferences(named, "ultrafeedback")))["prompt_id"] == "ours_1"


@pytest.mark.parametrize("kind", MEDIA_TYPES)
@pytest.mark.parametrize("format", ["ultrafeedback", "nemo-aligner"])
@settings(deadline=None, max_examples=20)
@given(belief=st.floats(0.5, 1), high=NUMBERS, low=NUMBERS)
def test_a_belief_stays_beside_scores_that_do_not_say_it(
    format: Format, kind: FileKind, belief: float, high: float, low: float
) -> None:
    names = [name for name, value in NUMBERED[format].items() if isinstance(value, float)]
    tags = tuple(zip(names, (repr(high), repr(low)), strict=True))
    pair = Pair((Message("user", "Why?"),), "A", "B", belief, tags=tags)
    (again,) = back([row_of_pair(pair, "upload")], format, kind)
    assert (again.p_chosen, again.tags) == (belief, tags)


def test_a_belief_that_the_scores_say_is_not_said_twice() -> None:
    row = row_of_pair(Pair((Message("user", "Why?"),), "A", "B", 0.75), "upload")
    (line,) = map(json.loads, write_preferences([row], "nemo-aligner"))
    assert (line["chosen_reward"], line["rejected_reward"], "p_chosen" in line) == (0.75, 0.25, False)
    scored = replace(row, tags=(("chosen_reward", "4.25"), ("rejected_reward", "-1.0")))
    (line,) = map(json.loads, write_preferences([scored], "nemo-aligner"))
    assert (line["chosen_reward"], line["rejected_reward"], line["p_chosen"]) == (4.25, -1.0, 0.75)

"""Prompt files of every kind, and every fault with its place."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import Message, Prompt
from service.errors import InvalidInput
from service.exchange.prompts import read_prompts
from service.shards import from_parquet, to_parquet


def table(columns: dict[str, list[object] | pa.Array]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def read(data: str | bytes, filename: str = "prompts.jsonl") -> list[Prompt]:
    return read_prompts(data.encode() if isinstance(data, str) else data, filename, "")


def test_a_line_with_everything() -> None:
    talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
    (prompt,) = read(json.dumps({"prompt": talk, "id": "p-1", "split": "held_out", "tags": {"topic": "sky"}}))
    assert prompt == Prompt(
        "p-1", (Message("system", "Be kind."), Message("user", "Why?")), "held_out", (("topic", "sky"),)
    )


def test_the_same_prompt_has_the_same_id_everywhere() -> None:
    (alone,) = read('{"prompt": "Why?"}')
    _, later = read('[{"prompt": "How?"}, {"prompt": [{"role": "user", "content": "Why?"}], "split": "held_out"}]')
    assert alone.id == later.id


def test_numbers_are_ids_zero_too() -> None:
    assert [prompt.id for prompt in read('{"prompt": "a", "id": 0}\n{"prompt": "b", "id": 1}')] == ["0", "1"]


def test_windows_line_ends_blank_lines_and_a_byte_order_mark() -> None:
    prompts = read('\ufeff{"prompt": "a"}\r\n\r\n{"prompt": "b"}\r\n')
    assert [prompt.messages[0].content for prompt in prompts] == ["a", "b"]


def test_only_a_line_feed_ends_a_line() -> None:
    odd = "one\u2028two\u2029three\u0085four\x0bfive\x0csix\x1cseven"
    (prompt,) = read(json.dumps({"prompt": odd}, ensure_ascii=False).replace("\\u000b", "\\u000b"))
    assert prompt.messages[0].content == odd


def test_other_columns_of_a_table_are_tags() -> None:
    csv = 'prompt,split,topic\n"Why,\nso?",train,sky\nHow?,held_out,egg\n'
    parquet = table({"prompt": ["Why,\nso?", "How?"], "split": ["train", "held_out"], "topic": ["sky", "egg"]})
    assert read(csv, "p.CSV") == read(parquet, "anything") == read_prompts(csv.encode(), "", "text/csv")
    assert [prompt.tags for prompt in read(parquet)] == [(("topic", "sky"),), (("topic", "egg"),)]


def test_categories_of_a_table_are_texts() -> None:
    splits = pa.array(["train", "held_out"]).dictionary_encode()
    assert [prompt.split for prompt in read(table({"prompt": ["a", "b"], "split": splits}))] == ["train", "held_out"]


def test_messages_in_parquet() -> None:
    (prompt,) = read(table({"prompt": [[{"role": "user", "content": "Why?"}]]}))
    assert prompt.messages == (Message("user", "Why?"),)


SIX = "".join(f'{{"prompt": "{number}"}}\n' for number in range(6))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (SIX + "{broken\n", "line 7: not JSON"),
        (SIX + '"text"\n', "line 7: not an object"),
        (SIX.encode() + b'{"prompt": "\xff"}', "line 7: byte 108 is not UTF-8"),
        (SIX + '{"prompt": "a", "prompt": "b"}', "line 7: not JSON: a key stands twice"),
        (SIX + '{"prompt": NaN}', "line 7: not JSON: NaN is not JSON"),
        (SIX + '{"prompt": "a\\ud800"}', "line 7: not JSON: a text holds half of a surrogate pair"),
        (SIX + '{"prompt": "a", "tags": {"\\uDC00": "x"}}', "line 7: not JSON: a text holds half of a surrogate pair"),
        (SIX + '{"prompt": ' + "[" * 100_000, "line 7: not JSON: nested too deeply"),
        (SIX + '{"prompt": ""}', "line 7: prompt is empty"),
        (SIX + '{"prompt": " \\n"}', "line 7: prompt is empty"),
        (SIX + '{"prompt": 3}', "line 7: prompt is neither a text nor a list"),
        (SIX + '{"promt": "a"}', "line 7: unknown key 'promt'; known are prompt, id, split, tags"),
        (SIX + '{"id": "a"}', "line 7: no `prompt`"),
        (SIX + '{"prompt": "a", "split": "test"}', "line 7: split is 'test'; take train or held_out"),
        (SIX + '{"prompt": "a", "id": true}', "line 7: id must be a text"),
        (SIX + '{"prompt": "a", "id": "' + "x" * 129 + '"}', "line 7: id must be a text of at most 128"),
        (SIX + '{"prompt": "a", "tags": 3}', "line 7: tags must be"),
        (SIX + '{"prompt": "3"}', "line 7: this prompt stands on line 4 already"),
        ('{"prompt": "a", "id": "1"}\n{"prompt": "b", "id": 1}', "line 2: the id '1' stands on line 1 already"),
        ('[{"prompt": "a"}, {"prompt": ""}]', "item 2: prompt is empty"),
        ('[{"prompt": "a"}, 3]', "item 2: not an object"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        (table({"prompt": ["a", None]}), "row 2: no `prompt`"),
        (table({"prompt": [b"bytes"]}), "row 1: prompt is neither"),
        (table({"prompt": ["a"]})[:-10], "not readable as Parquet"),
        (b"PAR1junkPAR1", "not readable as Parquet"),
        ("\n \n", "there are no prompts"),
    ],
)
def test_a_fault_names_its_place(data: str | bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read(data)
    assert said in str(told.value), told.value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("prompt,id\na,1,2\n", "line 2: not as many cells"),
        ("prompt,prompt\na,b\n", "line 1: the column 'prompt' stands twice"),
        ('"prompt\na', "line 1: not CSV"),
        ("promt\na\n", "line 2: no `prompt`"),
        ("prompt\nWhy?\n \n", "line 3: prompt is empty"),
    ],
)
def test_a_fault_of_a_table_names_its_line(data: str, said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read(data, "prompts.csv")
    assert said in str(told.value), told.value


def test_a_table_that_unpacks_to_gigabytes_is_refused_unread() -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 2000), pa.array(["x" * 1_000_000]))
    bomb = table({"prompt": repeated})
    assert len(bomb) < 100_000
    with pytest.raises(InvalidInput, match="more than 1,000,000,000 bytes; split the file"):
        read(bomb)


def test_every_fault_of_a_file_is_named_and_of_very_many_how_many_more() -> None:
    with pytest.raises(InvalidInput) as told:
        read("{}\n" * 500)
    assert "(and 499 more)" in str(told.value)
    assert [problem.split(":")[0] for problem in told.value.problems] == [f"line {n}" for n in range(1, 501)]
    with pytest.raises(InvalidInput) as told:
        read("{}\n" * 1234)
    assert len(told.value.problems) == 1001 and told.value.problems[-1].startswith("and 234 more places")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LINES = st.dictionaries(st.sampled_from(["prompt", "id", "split", "tags"]), JSON, max_size=4)


@settings(deadline=None, max_examples=150)
@given(data=st.one_of(st.lists(LINES, max_size=3).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
                      st.binary(max_size=60)))  # fmt: skip
def test_whatever_comes_is_read_and_can_be_stored_or_is_refused(data: bytes) -> None:
    try:
        prompts = read(data)
    except InvalidInput as error:
        assert error.problems
        return
    assert from_parquet(to_parquet(prompts), Prompt) == tuple(prompts)

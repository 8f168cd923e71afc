"""Preference rows: what is written is read, and every refusal names the line."""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.records import Message
from training.errors import RowError
from training.implicit_prompts import shared_prefix
from training.rows import (
    PreferenceRow,
    conversation_id,
    read_prompts,
    read_rows,
    row_from_json,
    row_to_json,
    write_rows,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
UNIT = st.floats(0.5, 1.0)


def make_row(id: str = "r1", **changes: object) -> PreferenceRow:
    values = {
        "prompt_id": "p1",
        "prompt": (Message("user", "Why is the sky blue?"),),
        "chosen": "Air scatters blue light most.",
        "rejected": "Great question!",
        "p_chosen": 0.9,
        "weight": 1.0,
        "source": "human",
    }
    return PreferenceRow(id=id, **(values | changes))  # type: ignore[arg-type]


@given(
    TEXT, TEXT, TEXT, UNIT, st.floats(0, 100), st.sampled_from(["human", "ai", "check"]),
    st.lists(st.tuples(TEXT, UNIT), max_size=3), st.dictionaries(TEXT, TEXT, max_size=3), st.lists(TEXT, max_size=2),
)  # fmt: skip
def test_a_row_survives_its_json(prompt, chosen, rejected, p_chosen, weight, source, principles, tags, people):
    row = make_row(
        prompt=(Message("system", "Be brief."), Message("user", prompt)), chosen=chosen, rejected=rejected,
        p_chosen=p_chosen, weight=weight, source=source, per_principle=tuple(principles),
        tags=tuple(tags.items()), annotators=tuple(people),
    )  # fmt: skip
    line = row_to_json(row)
    assert "\n" not in line
    assert row_from_json(line, "here") == row


def test_the_file_form_is_trls_conversational_format(tmp_path: Path):
    write_rows(tmp_path / "rows.jsonl", [make_row()])
    value = json.loads((tmp_path / "rows.jsonl").read_text())
    assert value["prompt"] == [{"role": "user", "content": "Why is the sky blue?"}]
    assert value["chosen"] == [{"role": "assistant", "content": "Air scatters blue light most."}]
    assert value["rejected"] == [{"role": "assistant", "content": "Great question!"}]


def test_plain_strings_are_read_too():
    row = row_from_json('{"id":"1","prompt_id":"p","prompt":"Hi","chosen":"Yes","rejected":"No"}', "x")
    assert row.prompt == (Message("user", "Hi"),)
    assert (row.chosen, row.rejected, row.p_chosen, row.weight) == ("Yes", "No", 1.0, 1.0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{oops", "line 2, column 2: not JSON"),
        ("[1]", "line 2: a list instead of an object"),
        ('{"id":"2","prompt_id":"p","prompt":"x","chosen":"y"}', "line 2: no 'rejected'"),
        ('{"id":"1","prompt_id":"p","prompt":"x","chosen":"y","rejected":"z"}', "line 1 too; give each row its own id"),
        ('{"id":"2","prompt_id":"p","prompt":"x","chosen":3,"rejected":"z"}', "'chosen' must be"),
        ('{"id":"2","prompt_id":"p","prompt":[],"chosen":"y","rejected":"z"}', "'prompt' must be"),
        ('{"id":"2","prompt_id":"p","prompt":"x","chosen":"y","rejected":"z","p_chosen":0.2}', "from 0.5 to 1.0"),
        ('{"id":"2","prompt_id":"p","prompt":"x","chosen":"y","rejected":"z","p_chosen":NaN}', "from 0.5 to 1.0"),
        ('{"id":"2","prompt_id":"p","prompt":"x","chosen":"y","rejected":"z","source":"cat"}', "one of human, ai"),
        (r'{"id":"2","prompt_id":"p","prompt":"x","chosen":"\ud800","rejected":"z"}', "half of a surrogate pair"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str):
    good = '{"id":"1","prompt_id":"p","prompt":"x","chosen":"y","rejected":"z"}'
    (tmp_path / "rows.jsonl").write_text(good + "\n" + line + "\n")
    with pytest.raises(RowError) as caught:
        read_rows(tmp_path / "rows.jsonl")
    assert says in str(caught.value)
    assert "rows.jsonl, line 2" in str(caught.value)


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_bytes(b"\n\xff\n")
    with pytest.raises(RowError, match=r"line 2, byte 0: not UTF-8"):
        read_rows(tmp_path / "rows.jsonl")


def test_a_line_separator_inside_a_text_does_not_break_the_line(tmp_path: Path):
    row = make_row(chosen="one\u2028two\x85three")
    write_rows(tmp_path / "rows.jsonl", [row])
    assert read_rows(tmp_path / "rows.jsonl") == (row,)


def test_a_whole_character_in_escapes_is_read():
    row = row_from_json(r'{"id":"1","prompt_id":"p","prompt":"x","chosen":"\ud83d\ude00","rejected":"z"}', "x")
    assert row.chosen == "\U0001f600"


SKY = {"role": "user", "content": "The sky is"}
BLUE, GREEN = ({"role": "assistant", "content": colour} for colour in ("blue.", "green."))


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": [SKY], "chosen": [BLUE], "rejected": [GREEN]},
        {"prompt": "The sky is", "chosen": "blue.", "rejected": "green."},
        {"chosen": [SKY, BLUE], "rejected": [SKY, GREEN]},
    ],
)
def test_trls_rows_are_one_row_in_each_form_and_have_ids_of_their_texts(tmp_path: Path, line: dict[str, object]):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(line | {"margin": 1.5}) + "\n")
    (row,) = read_rows(path)
    conversation = hashlib.sha256(b'[{"role": "user", "content": "The sky is"}]').hexdigest()[:24]
    pair = hashlib.sha256(f'["p{conversation}", "blue.", "green."]'.encode()).hexdigest()[:24]
    assert (row.id, row.prompt_id, row.prompt) == (f"r{pair}", f"p{conversation}", (Message("user", "The sky is"),))
    assert (row.chosen, row.rejected, row.p_chosen, row.weight) == ("blue.", "green.", 1.0, 1.0)
    assert [prompt.messages for prompt in read_prompts(path)] == [row.prompt]


def test_an_implicit_prompt_of_texts_is_cut_as_trl_cuts_it(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"chosen": "The sky is blue.", "rejected": "The sky is green."}')
    (row,) = read_rows(tmp_path / "rows.jsonl")
    assert (row.prompt[0].content, row.chosen, row.rejected) == ("The sky is", " blue.", " green.")


def test_a_row_of_trls_that_stands_twice_counts_twice(tmp_path: Path):
    line = json.dumps({"prompt": "The sky is", "chosen": "blue.", "rejected": "green."})
    (tmp_path / "rows.jsonl").write_text(f"{line}\n" * 3)
    one, *copies = read_rows(tmp_path / "rows.jsonl")
    assert [copy.id for copy in copies] == [f"{one.id}-2", f"{one.id}-3"]
    assert {copy.prompt_id for copy in copies} == {one.prompt_id}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"chosen": "Yes.", "rejected": "No."}, "no 'prompt', and the two texts do not begin alike; add 'prompt'"),
        ({"chosen": [BLUE], "rejected": [GREEN]}, "no 'prompt', and the two conversations do not begin with the same"),
        ({"chosen": [SKY], "rejected": [SKY]}, "no 'prompt', and both conversations must end with the assistant's"),
        ({"chosen": [SKY, SKY, BLUE], "rejected": [SKY, {**SKY, "content": "?"}, BLUE]}, "do not begin with the same"),
        ({"chosen": [SKY, {"role": "robot", "content": "x"}], "rejected": [SKY, BLUE]}, "'chosen' must be"),
        (
            {"prompt": "x", "chosen": [SKY, BLUE], "rejected": [SKY, GREEN]},
            "'chosen' must be a string or a list of one",
        ),
        ({"prompt": "x", "chosen": "y"}, "no 'rejected': a demonstration has one reply, in 'chosen', and this method"),
        ({"messages": [SKY, BLUE]}, "no 'chosen': a demonstration has one reply, in 'messages', and this method"),
        ({"prompt": "x", "rejected": "y"}, "no 'chosen'; a row needs chosen, rejected"),
        ({"id": 7, "prompt": "x", "chosen": "y", "rejected": "z"}, "'id' must be a string"),
    ],
)
def test_what_is_no_row_of_trls_either_is_named(tmp_path: Path, line: dict[str, object], says: str):
    (tmp_path / "rows.jsonl").write_text("\n" + json.dumps(line))
    with pytest.raises(RowError) as caught:
        read_rows(tmp_path / "rows.jsonl")
    assert str(caught.value).startswith("rows.jsonl, line 2: ") and says in str(caught.value)


@given(TEXT.filter(str.strip), TEXT, TEXT)
def test_an_implicit_conversation_is_the_explicit_one(prompt, chosen, rejected):
    turn, replies = (
        {"role": "user", "content": prompt},
        ({"role": "assistant", "content": r} for r in (chosen, rejected)),
    )
    asked, good, bad = shared_prefix(*((Message(**turn), Message(**reply)) for reply in replies))
    assert (asked, good, bad) == ((Message("user", prompt),), chosen, rejected)


DEMONSTRATIONS: tuple[dict[str, object], ...] = (
    {"messages": [SKY, BLUE]},
    {"prompt": "The sky is", "completion": "blue."},
    {"prompt": [SKY], "completion": [BLUE]},
    {"prompt": [SKY], "completion": [BLUE], "label": True},
    {"prompt": "The sky is", "chosen": "blue."},
    {"prompt": [SKY], "chosen": [BLUE], "messages": [SKY, GREEN]},
)


@pytest.mark.parametrize("line", DEMONSTRATIONS)
def test_a_demonstration_is_the_same_row_in_each_form(tmp_path: Path, line: dict[str, object]):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(line | {"weight": 0.5, "annotators": ["ann"]}) + "\n")
    (row,) = read_rows(path, with_rejected=False)
    assert (row.prompt, row.chosen, row.rejected) == ((Message("user", "The sky is"),), "blue.", "")
    assert (row.p_chosen, row.weight, row.annotators, row.source) == (1.0, 0.5, ("ann",), "human")
    assert row.prompt_id == conversation_id(row.prompt)
    assert [prompt.messages for prompt in read_prompts(path)] == [row.prompt]


def test_of_a_conversation_all_but_the_last_turn_is_the_prompt(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": [SKY, GREEN, {**SKY, "content": "No."}, BLUE]}))
    (row,) = read_rows(tmp_path / "rows.jsonl", with_rejected=False)
    assert [turn.content for turn in row.prompt] == ["The sky is", "green.", "No."]
    assert row.chosen == "blue."


def test_pairs_and_demonstrations_stand_in_one_file_and_copies_count(tmp_path: Path):
    lines = [{"prompt": "x", "chosen": "y", "rejected": "z"}, DEMONSTRATIONS[0], DEMONSTRATIONS[1]]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    pair, one, copy = read_rows(tmp_path / "rows.jsonl", with_rejected=False)
    assert (pair.rejected, one.rejected, copy.id) == ("z", "", f"{one.id}-2")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"messages": [SKY]}, "messages must be a prompt's turns and, at the end, the assistant's reply"),
        ({"messages": [BLUE]}, "messages must be a prompt's turns and, at the end"),
        ({"messages": [SKY, BLUE, SKY]}, "messages must be a prompt's turns and, at the end"),
        ({"messages": []}, "'messages' must be a string or a list of at least one message"),
        ({"messages": [SKY, {**BLUE, "content": " \n"}]}, "the reply is empty; write one, or leave the line out"),
        ({"prompt": "x", "completion": ""}, "the reply is empty"),
        ({"prompt": "x", "chosen": [{**BLUE, "content": ""}]}, "the reply is empty"),
        (
            {"prompt": "x", "completion": [BLUE, SKY]},
            "'completion' must be a string or a list of one assistant message",
        ),
        ({"completion": "x"}, "no 'prompt'; add it"),
        ({"prompt": "x"}, "no 'chosen'; a row needs prompt with chosen or completion, or messages"),
        ({"prompt": "x", "rejected": "y"}, "no 'chosen'; a row needs prompt with chosen or completion, or messages"),
        ({"prompt": "x", "completion": "y", "label": False}, "label is false, so the reply is none to imitate"),
        ({"prompt": "x", "completion": "y", "label": "false"}, "label is false, so the reply is none to imitate"),
    ],
)
def test_what_is_no_demonstration_is_named(tmp_path: Path, line: dict[str, object], says: str):
    (tmp_path / "rows.jsonl").write_text("\n" + json.dumps(line))
    with pytest.raises(RowError) as caught:
        read_rows(tmp_path / "rows.jsonl", with_rejected=False)
    assert str(caught.value).startswith("rows.jsonl, line 2: ") and says in str(caught.value)


@given(TEXT, TEXT, TEXT.filter(str.strip))
def test_trls_forms_of_a_demonstration_hold_any_text(system, prompt, reply):
    asked = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    said = {"role": "assistant", "content": reply}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text(
            json.dumps({"messages": [*asked, said]}) + "\n" + json.dumps({"prompt": asked, "completion": [said]})
        )
        one, other = read_rows(path, with_rejected=False)
    assert (one.prompt, one.chosen) == (other.prompt, other.chosen)
    assert [turn.content for turn in one.prompt] == [system, prompt] and one.chosen == reply

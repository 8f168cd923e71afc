"""Pairs of every format come in, and each fault is told with its place."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judges.records import Message
from service.errors import InvalidInput
from service.exchange.formats.registry import Format
from service.exchange.preferences import read_preferences
from training.rows import PreferenceRow

ASKED = (Message("user", "Why?"),)
TALK = (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Why?"))


def read(*values: object, format: Format | None = None) -> list[PreferenceRow]:
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    return read_preferences(text.encode(), "people.jsonl", "", format, "people")


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: "
TALK_JSON = [turn("user", "Hi"), turn("assistant", "Hello."), turn("user", "Why?")]
ANSWER = {"status": "submitted", "user_id": "u1", "values": {"preference": {"value": "b"}}}


GOOD, BAD_REPLY = turn("assistant", "Because."), turn("assistant", "Hm.")
TALKS = {"chosen": [*TALK_JSON, GOOD], "rejected": [*TALK_JSON, BAD_REPLY]}
SHORT_TALKS = {"chosen": [turn("user", "Why?"), GOOD], "rejected": [turn("user", "Why?"), BAD_REPLY]}
SCORES = {"score_chosen": 8.5, "score_rejected": 3}
SHARE_GPT = {"chosen": {"from": "gpt", "value": "Because."}, "rejected": {"from": "gpt", "value": "Hm."}}


@pytest.mark.parametrize(
    ("value", "prompt"),
    [
        ({"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}, ASKED),
        ({"prompt": TALK_JSON, "chosen": "Because.", "rejected": [BAD_REPLY]}, TALK),
        (TALKS, TALK),
        ({"prompt": "Why?", **SHORT_TALKS, **SCORES}, ASKED),
        ({"prompt": "Why?", **TALKS, **SCORES}, TALK),  # UltraFeedback's prompt is a part of the conversation only
        ({"input": {"messages": TALK_JSON}, "preferred_output": [GOOD], "non_preferred_output": [BAD_REPLY]}, TALK),
        ({"chosen": HH + "Because.", "rejected": HH + "Hm."}, TALK),
        ({"fields": {"prompt": "Why?", "response_a": "Hm.", "response_b": "Because."}, "responses": [ANSWER]}, ASKED),
        ({"prompt": [{"from": "human", "value": "Why?"}], **SHARE_GPT}, ASKED),
    ],
)
def test_each_format(value: object, prompt: tuple[Message, ...]) -> None:
    (row,) = read(value)
    assert (row.prompt, row.chosen, row.rejected) == (prompt, "Because.", "Hm.")
    assert (row.source, row.p_chosen, row.weight, row.origin) == ("human", 1.0, 1.0, "people, line 1")


def test_text_parts_the_developers_turn_and_several_messages_are_read() -> None:
    asked = [
        turn("developer", "Be brief."),
        {"role": "user", "content": [{"type": "text", "text": one} for one in "ab"]},
    ]
    outputs = {"preferred_output": [turn("assistant", "Well."), GOOD], "non_preferred_output": [BAD_REPLY]}
    (row,) = read({"input": {"messages": asked}, **outputs})
    assert row.prompt == (Message("system", "Be brief."), Message("user", "a\nb"))
    assert (row.chosen, row.rejected) == ("Well.\n\nBecause.", "Hm.")


def test_two_conversations_that_part_early_are_compared_where_they_part() -> None:
    chosen = "\n\nHuman: Why?\n\nAssistant: Because.\n\nHuman: Thanks\n\nAssistant: Welcome."
    (row,) = read({"chosen": chosen, "rejected": "\n\nHuman: Why?\n\nAssistant: Hm."})
    assert (row.prompt, row.chosen, row.rejected) == (ASKED, "Because.", "Hm.")


def test_belief_weight_and_people_are_kept() -> None:
    pair = {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm.", "p_chosen": 0.75, "weight": 2}
    (row,) = read(pair | {"annotators": ["ann_1", "ann_2"]})
    assert (row.p_chosen, row.weight, row.annotators) == (0.75, 2.0, ("ann_1", "ann_2"))
    assert read(pair | {"annotator": "ann_1"})[0].annotators == ("ann_1",)


def test_equal_scores_are_a_tie() -> None:
    pair = {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}
    assert read(pair | {"score_chosen": 4, "score_rejected": 4.0})[0].p_chosen == 0.5
    assert read(pair | {"score_chosen": 5, "score_rejected": 4})[0].p_chosen == 1.0


def test_every_person_of_an_argilla_record_counts_and_only_submitted_answers() -> None:
    fields = {"prompt": "Why?", "response_a": "Because.", "response_b": "Hm."}
    answers = [
        {"status": "submitted", "user_id": user, "values": {"preference": {"value": value}}}
        for user, value in (("u1", "a"), ("u2", "b"), ("u3", "tie"))
    ]
    rows = read({"fields": fields, "responses": [*answers, {"status": "discarded", "user_id": "u4", "values": {}}]})
    assert [(row.annotators, row.chosen, row.p_chosen) for row in rows] == [
        (("u1",), "Because.", 1.0),
        (("u2",), "Hm.", 1.0),
        (("u3",), "Because.", 0.5),
    ]


def test_a_machines_row_stays_a_machines() -> None:
    fields = {"id": "r1", "prompt_id": "p1", "prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}
    (row,) = read(fields | {"source": "ai", "judge": "big", "per_principle": [{"id": "brief", "p_chosen": 0.9}]})
    assert (row.id, row.source, row.judge, row.per_principle) == ("r1", "ai", "big", (("brief", 0.9),))


def test_the_same_pair_twice_is_one_row() -> None:
    pair = {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}
    assert len(read(pair, pair, pair | {"annotator": "someone"})) == 2


BAD = {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"prompt": "Why?", "chosen": "Because.", "rejected": None}, "rejected is missing"),
        ({"prompt": "Why?", "chosen": "Because."}, "no known format has the keys chosen, prompt"),
        (BAD | {"rejected": "Because."}, "the same text"),
        (BAD | {"prompt": " "}, "prompt is empty"),
        (BAD | {"prompt": [turn("assistant", "x")]}, "it must end with the user's"),
        (BAD | {"prompt": []}, "neither a text nor a list"),
        (BAD | {"prompt": [turn("tool", "x")]}, "prompt[0].role is 'tool'"),
        (BAD | {"chosen": [turn("assistant", "x"), turn("user", "y")]}, "one message of the assistant"),
        (BAD | {"prompt": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content[0] is no part of type"),
        (BAD | {"p_chosen": 0.4}, "from 0.5 to 1"),
        (BAD | {"p_chosen": True}, "p_chosen is True"),
        (BAD | {"weight": -1}, "weight is -1"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "no transcript"}, "rejected does not begin"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"}, "the same prompt"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a"}, "must end with the assistant"),
        ({"input": {}, "preferred_output": [], "non_preferred_output": []}, "input.messages is missing"),
        ({"fields": {"prompt": "a", "response_a": "x", "response_b": "y"},
          "responses": [ANSWER | {"values": {"preference": {"value": "left"}}}]}, "must be a, b or tie"),
        ({"id": "r", "prompt_id": "p", "source": "robot", **BAD}, "'source' must be one of"),
        ({"question": "a", "answer": "b"}, "no known format has the keys answer, question"),
    ],
)  # fmt: skip
def test_a_fault_is_named(value: object, said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read(value)
    assert said in str(told.value) and str(told.value).startswith("line 1: "), told.value


def test_every_fault_is_told_and_its_own_line() -> None:
    with pytest.raises(InvalidInput) as told:
        read(BAD, {"prompt": "x"}, BAD, BAD | {"weight": "heavy"})
    assert [problem.split(":")[0] for problem in told.value.problems] == ["line 2", "line 4"]
    assert "(and 1 more); nothing was stored" in str(told.value)


def test_a_row_of_a_table_is_named_by_its_first_line() -> None:
    text = 'prompt,chosen,rejected\n"Why\nis\nthat?",a,b\n\n"So\nwhat?",same,same\nx,y\n'
    with pytest.raises(InvalidInput) as told:
        read_preferences(text.encode(), "people.csv", "", None, "people.csv")
    assert [problem.split(":")[0] for problem in told.value.problems] == ["line 6", "line 8"]
    (row,) = read_preferences("".join(text.splitlines(keepends=True)[:4]).encode(), "p.csv", "", None, "p.csv")
    assert row.origin == "p.csv, line 2"


def test_an_empty_cell_is_a_missing_reply_and_not_an_empty_one() -> None:
    text = 'prompt,chosen,rejected\nWhy?,Because.,\nHow?,"""""",So.\n'
    with pytest.raises(InvalidInput, match="line 2: the cell of rejected is empty"):
        read_preferences(text.encode(), "p.csv", "", None, "p.csv")
    (row,) = read_preferences(text.replace("Why?,Because.,\n", "").encode(), "p.csv", "", None, "p.csv")
    assert (row.chosen, row.rejected) == ("", "So.")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('{"a":1}', '{"a":1}'),
        ("[1,2]", "[1,2]"),
        ("[]", "[]"),
        ('[{"a":1}]', '[{"a":1}]'),
        ('{"role":"admin"}', '{"role":"admin"}'),
        ('[{"role":"assistant","content":"Yes."},{"a":1}]', '[{"role":"assistant","content":"Yes."},{"a":1}]'),
        ('[{"role":"assistant","content":"Yes."}]', "Yes."),
        ('[{"from":"gpt","value":"Yes."}]', "Yes."),
        ('"[1,2]"', "[1,2]"),  # as we write it
    ],
)
def test_json_in_a_replys_cell_is_messages_only_if_each_has_a_role(cell: str, text: str) -> None:
    quoted = cell.replace('"', '""')
    data = f'prompt,chosen,rejected\nGive JSON,"{quoted}",no\n'.encode()
    (row,) = read_preferences(data, "p.csv", "", None, "p.csv")
    assert (row.prompt, row.chosen, row.rejected) == ((Message("user", "Give JSON"),), text, "no")


def test_two_rows_of_ours_with_one_id_are_a_fault() -> None:
    ours = {"id": "r1", "prompt_id": "p1", "source": "human", **BAD}
    assert len(read(ours, ours)) == 1
    with pytest.raises(InvalidInput, match="line 2: the id 'r1' stands on another row"):
        read(ours, ours | {"chosen": "Other."})


@pytest.mark.parametrize("empty", [b"", b"\n\n", b"[]"])
def test_no_rows(empty: bytes) -> None:
    with pytest.raises(InvalidInput, match="there are no rows"):
        read_preferences(empty, "", "", None, "people")


def test_no_answers() -> None:
    with pytest.raises(InvalidInput, match="no row holds a submitted answer"):
        read({"fields": {"prompt": "a", "response_a": "x", "response_b": "y"}, "responses": []})


def test_tables() -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({name: [value, value + "!"] for name, value in BAD.items()}), out)
    rows = read_preferences(out.getvalue(), "", "", None, "people.parquet")
    assert [(row.chosen, row.origin) for row in rows] == [
        ("Because.", "people.parquet, row 1"),
        ("Because.!", "people.parquet, row 2"),
    ]
    text = 'prompt,chosen,rejected\n"Why,\n""so""?",Because.,Hm.\n'
    (row,) = read_preferences(text.encode(), "people.csv", "", None, "people.csv")
    assert row.prompt == (Message("user", 'Why,\n"so"?'),)

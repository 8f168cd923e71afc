"""Demonstrations come in from each form that trainers write them in, as a set that nothing takes for pairs."""

import json
from pathlib import Path

import pytest

from judges.errors import UnreadableLabels
from judges.records import Message
from service.errors import InvalidInput
from service.exchange.formats.registry import Format
from service.exchange.importing import import_preferences
from service.exchange.labelled import read_labelled
from service.exchange.preferences import PreferenceFile, read_preferences, write_preferences
from training.rows import PreferenceRow

SKY, BLUE = {"role": "user", "content": "The sky is"}, {"role": "assistant", "content": "blue."}
OURS = {"id": "d1", "prompt_id": "p1", "source": "human", "prompt": "The sky is", "chosen": "blue."}
FORMS: tuple[dict[str, object], ...] = (
    {"messages": [SKY, BLUE]},
    {"prompt": "The sky is", "completion": "blue."},
    {"prompt": [SKY], "completion": [BLUE], "label": True},
    {"prompt": [SKY], "chosen": [BLUE]},
    {"conversations": 1, "messages": [{"from": "human", "value": "The sky is"}, {"from": "gpt", "value": "blue."}]},
)
PAIR = {"prompt": "The sky is", "chosen": "blue.", "rejected": "green."}


def read(*lines: object, format: Format | None = None, name: str = "d.jsonl") -> list[PreferenceRow]:
    return read_preferences("\n".join(map(json.dumps, lines)).encode(), name, "", format, "d")


def kind_of(folder: Path, *lines: object) -> str:
    data = "\n".join(map(json.dumps, lines)).encode()
    return import_preferences(PreferenceFile(data, "d.jsonl", "", None, "d"), folder / "rows", skip_broken=False).kind


@pytest.mark.parametrize("line", FORMS)
def test_each_form_is_the_same_row(line: dict[str, object]) -> None:
    (row,) = read(line | {"weight": 0.5, "annotator": "ann"}, format="demonstrations" if "chosen" in line else None)
    assert (row.prompt, row.chosen, row.rejected) == ((Message("user", "The sky is"),), "blue.", "")
    assert (row.p_chosen, row.weight, row.source, row.annotators) == (1.0, 0.5, "human", ("ann",))
    assert [json.loads(out) for out in write_preferences([row], "demonstrations")] == [{"messages": [SKY, BLUE]}]


def test_a_row_of_ours_without_rejected_keeps_what_it_says() -> None:
    (row,) = read(OURS | {"tags": {"topic": "sky"}, "origin": "us"})
    assert (row.id, row.prompt_id, row.chosen, row.rejected) == ("d1", "p1", "blue.", "")
    assert (row.tags, row.origin) == ((("topic", "sky"),), "us")


def test_a_table_of_prompts_and_completions() -> None:
    (row,) = read_preferences(b"prompt,completion\nThe sky is,blue.\n", "d.csv", "", None, "d")
    assert (row.chosen, row.rejected) == ("blue.", "")
    with pytest.raises(InvalidInput, match="line 2: the cell of completion is empty"):
        read_preferences(b"prompt,completion\nThe sky is,\n", "d.csv", "", "demonstrations", "d")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"messages": [SKY]}, "messages must be a prompt's turns and, at the end, the assistant's reply"),
        ({"messages": [SKY, BLUE, SKY]}, "messages must be a prompt's turns and, at the end"),
        ({"messages": [SKY, BLUE, BLUE]}, "messages before the reply ends with a message of the assistant"),
        ({"messages": [SKY, {**BLUE, "content": " "}]}, "the reply is empty; write one, or leave the line out"),
        ({"prompt": "x", "completion": ""}, "the reply is empty"),
        ({"prompt": "x", "completion": [BLUE, SKY]}, "completion must be a text or one message of the assistant"),
        ({"prompt": "x", "completion": "y", "label": False}, "label is false, so the reply is none to imitate"),
        (PAIR, "a pair among demonstrations (lines without rejected); post them as two sets"),
        (OURS | {"chosen": ""}, "the reply is empty"),
    ],
)
def test_what_is_no_demonstration_is_a_broken_line(line: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read(FORMS[0], line, format="demonstrations")
    assert str(told.value).startswith(f"line 2: {says}")


def test_a_set_of_nothing_but_single_replies_is_of_their_kind(tmp_path: Path) -> None:
    assert kind_of(tmp_path, FORMS[0]) == "demonstrations"
    assert kind_of(tmp_path, PAIR | {"rejected": " \n"}) == "demonstrations"
    assert kind_of(tmp_path, PAIR, PAIR | {"rejected": ""}) == "human"
    machine = OURS | {"rejected": "green.", "source": "ai", "judge": "big"}
    assert kind_of(tmp_path, machine) == "mixed"
    (row,) = read(OURS)
    assert kind_of(tmp_path, *map(json.loads, write_preferences([row], "charter"))) == "demonstrations"


def test_pairs_and_demonstrations_are_two_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"line 2: a pair among demonstrations"):
        kind_of(tmp_path, FORMS[0], PAIR)
    with pytest.raises(InvalidInput, match=r"line 2: chosen is missing|line 2: chosen"):
        kind_of(tmp_path, PAIR, FORMS[0])


def test_ultrafeedbacks_messages_make_no_demonstration() -> None:
    (row,) = read(PAIR | {"messages": [SKY, BLUE], "score_chosen": 8, "score_rejected": 3})
    assert row.rejected == "green."


def test_a_judge_is_not_examined_on_demonstrations(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps(FORMS[0]))
    with pytest.raises(UnreadableLabels, match=r"d\.jsonl: demonstrations, one reply to each prompt"):
        read_labelled(tmp_path / "d.jsonl", None)

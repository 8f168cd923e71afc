"""Labelled sets from files and preference sets; the readers of our own and of LLMBar's are tested in tests/judges."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from constitutions.schema import Constitution, JudgedPrinciple
from judges.errors import UnreadableLabels
from judges.records import Message
from service.exchange.labelled import pairs_of_rows, read_labelled, under_principle
from tests.data import data_file
from training.rows import PreferenceRow

ROW = PreferenceRow("r1", "p1", (Message("user", "Hi?"),), "Hello.", "What?", 0.8, 1.0, "human", origin="made by hand")


def law(*principles: str) -> Constitution:
    return Constitution(name="t", principles=tuple(JudgedPrinciple(id=id, text="Be so.") for id in principles))


def test_of_a_preference_set_what_people_labelled_counts() -> None:
    other = replace(ROW, id="r2", prompt=(Message("user", "Ho?"),), p_chosen=0.5)
    machine = replace(ROW, id="r3", prompt=(Message("user", "He?"),), source="ai")
    one, tie = pairs_of_rows([ROW, other, machine, replace(ROW, id="r4", annotators=("b",))], "people", "people")
    assert (one.comparison.a, one.comparison.b, one.label_p_a) == ("Hello.", "What?", 1.0)
    assert (tie.label_p_a, tie.place, tie.slice) == (0.5, "people, row r2", "people")
    with pytest.raises(UnreadableLabels, match="people: no row of it was labelled by a person"):
        pairs_of_rows([machine], "people", "people")


def test_people_who_contradict_each_other_are_named() -> None:
    turned = replace(ROW, id="r2", chosen="What?", rejected="Hello.")
    with pytest.raises(UnreadableLabels, match="people, row r2: contradicts people, row r1"):
        pairs_of_rows([ROW, turned], "people", "people")


def test_formats_are_told_by_the_first_line(tmp_path: Path) -> None:
    rows = {
        "trl.jsonl": {"prompt": "Hi?", "chosen": "Hello.", "rejected": "What?"},
        "openai.jsonl": {
            "input": {"messages": [{"role": "user", "content": "Hi?"}]},
            "preferred_output": [{"role": "assistant", "content": "Hello."}],
            "non_preferred_output": [{"role": "assistant", "content": "What?"}],
        },
        "hh.jsonl": {
            "chosen": "\n\nHuman: Hi?\n\nAssistant: Hello.",
            "rejected": "\n\nHuman: Hi?\n\nAssistant: What?",
        },
        "own.jsonl": {"prompt": "Hi?", "a": "Hello.", "b": "What?", "label": "a"},
    }
    for name, row in rows.items():
        (tmp_path / name).write_text(json.dumps(row))
        (pair,) = read_labelled(tmp_path / name, None)
        shown = pair.comparison
        assert (shown.messages, shown.a, shown.b, pair.label_p_a) == (ROW.prompt, "Hello.", "What?", 1.0)
        assert (pair.slice, pair.place) == (Path(name).stem, f"{name}, line 1")


def test_faults_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl.gz"
    for data, said in (
        (gzip.compress(b"{}")[:-4], "not readable as gzip"),
        (b"\xff\xfe", "line 1: byte 0 is not UTF-8"),
        (b'{"surprise": 1}', "line 1: no known format has the keys surprise"),
        (b'{"prompt": "Hi?", "chosen": "x", "rejected": "x"}', "line 1: chosen and rejected are the same text$"),
    ):
        file.write_bytes(data)
        with pytest.raises(UnreadableLabels, match=rf"people\.jsonl\.gz: {said}"):
            read_labelled(file, None)


def test_a_set_without_principles_goes_under_the_only_one_or_the_named_one() -> None:
    pairs = pairs_of_rows([ROW], "people", "people")
    assert [pair.principle_id for pair in under_principle(pairs, law("kind"), None)] == ["kind"]
    assert [pair.principle_id for pair in under_principle(pairs, law("kind", "warm"), "warm")] == ["warm"]
    own = [replace(pairs[0], principle_id="kind")]
    assert [pair.principle_id for pair in under_principle(own, law("kind", "warm"), "warm")] == ["kind"]
    with pytest.raises(UnreadableLabels, match=r"says nothing of a principle; .*: kind, warm"):
        under_principle(pairs, law("kind", "warm"), None)
    assert under_principle((), law("kind", "warm"), None) == ()


@pytest.mark.parametrize(("name", "pairs"), [("harmless", 1167), ("helpful", 1196)])
def test_hh_rlhf_as_published(name: str, pairs: int) -> None:
    assert len(read_labelled(data_file(f"hh-rlhf/{name}-base.jsonl.gz"), None)) == pairs


def test_the_published_prompts_of_xstest():
    pairs = read_labelled(data_file("xstest/prompts.csv"), None)
    assert len(pairs) == 450
    assert {(pair.slice, pair.label_p_a) for pair in pairs} == {("prompts-safe", 1.0), ("prompts-unsafe", 0.0)}
    assert sum(pair.label_p_a for pair in pairs) == 250

"""The demo's prompts and pairs: enough of them, in the shapes we document, and nothing of one set in another."""

import json
import re
from itertools import combinations
from pathlib import Path

from service.demo.content import HUMAN, PROMPTS
from training.rows import row_from_json


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def last_words(prompt: object) -> str:
    """What the user said last."""
    if isinstance(prompt, list):
        assert prompt[-1]["role"] == "user"
        return str(prompt[-1]["content"])
    assert isinstance(prompt, str)
    return prompt


def word_set(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.lower()))


def shared_share(a: str, b: str) -> float:
    """Shared words over all words of both (Jaccard), 0 to 1."""
    first, second = word_set(a), word_set(b)
    return len(first & second) / len(first | second)


def test_there_are_96_training_and_48_held_out_prompts_at_least():
    splits = [line["split"] for line in lines_of(PROMPTS)]
    assert splits.count("train") >= 96
    assert splits.count("held_out") >= 48
    assert set(splits) == {"train", "held_out"}


def test_every_prompt_line_has_an_id_of_its_own_and_a_topic():
    lines = lines_of(PROMPTS)
    assert len({line["id"] for line in lines}) == len(lines)
    assert all(set(line) == {"id", "prompt", "split", "tags"} for line in lines)
    topics = {line["tags"]["topic"] for line in lines}  # type: ignore[index]
    assert len(topics) >= 12


def test_there_are_60_labelled_pairs_at_least_in_the_trl_format():
    for number, line in enumerate(lines_of(HUMAN), start=1):
        assert line["annotator"] == "founder"
        row = row_from_json(json.dumps(line | {"id": f"pair-{number}", "prompt_id": f"p-{number}"}), f"line {number}")
        assert row.source == "human"
        assert row.chosen != row.rejected
    assert number >= 60


def test_no_prompt_is_nearly_another_one():
    said = [last_words(line["prompt"]) for line in lines_of(PROMPTS) + lines_of(HUMAN)]
    close = [(a, b) for a, b in combinations(said, 2) if shared_share(a, b) > 0.6]
    assert close == []

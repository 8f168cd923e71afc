"""TRL's preference types: explicit and implicit prompt, plain texts ("standard") and conversations, with `margin`."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import JsonValue

from judges.records import Message
from service.exchange.formats.pair import (
    Pair,
    Scores,
    as_number,
    belief_of_scores,
    number_within,
    one_question,
    tag_number,
)
from service.exchange.messages import as_json, conversation, ends_with_user, reply
from service.exchange.notices import not_held, parting
from training.implicit_prompts import shared_prefix, split_texts
from training.rows import PreferenceRow

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_MARGIN = ("margin", pa.float64())
CONVERSATIONAL = pa.schema([("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES), _MARGIN])
STANDARD = pa.schema([("prompt", pa.string()), ("chosen", pa.string()), ("rejected", pa.string()), _MARGIN])
IMPLICIT = pa.schema([("chosen", MESSAGES), ("rejected", MESSAGES), _MARGIN])
IMPLICIT_STANDARD = pa.schema([("chosen", pa.string()), ("rejected", pa.string()), _MARGIN])


def read(value: dict[str, JsonValue]) -> Iterator[Pair]:
    """Any of the four, and the columns of ours that a line may have beside."""
    chosen, rejected = value.get("chosen"), value.get("rejected")
    notices = not_held(value)
    if "prompt" in value and not (_is_whole(chosen) and _is_whole(rejected)):
        prompt = ends_with_user(conversation(value["prompt"], "prompt"), "prompt")
        good, bad = reply(chosen, "chosen"), reply(rejected, "rejected")
    elif isinstance(chosen, str) and isinstance(rejected, str):
        text, good, bad = split_texts(chosen, rejected)
        prompt = conversation(text, "the text that both begin with")
    else:
        whole = conversation(chosen, "chosen"), conversation(rejected, "rejected")
        prompt, good, bad = shared_prefix(*whole)
        notices = (*notices, *parting(prompt, *whole))
    scores = belief_of_scores(value, "score_chosen", "score_rejected")
    yield Pair(
        prompt,
        good,
        bad,
        number_within(value.get("p_chosen"), scores.p_chosen, "p_chosen", 0.5, 1.0),
        number_within(value.get("weight"), 1.0, "weight", 0.0, 1e6),
        annotators_of(value),
        tags=_tags(value, scores),
        notices=(*notices, *scores.notices),
    )


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    """Explicit prompt, conversations."""
    return {
        "prompt": as_json(row.prompt),
        "chosen": as_json([Message("assistant", row.chosen)]),
        "rejected": as_json([Message("assistant", row.rejected)]),
    } | _margin(row)


def write_standard(row: PreferenceRow) -> dict[str, JsonValue]:
    """Explicit prompt, texts."""
    return {"prompt": row.prompt[0].content, "chosen": row.chosen, "rejected": row.rejected} | _margin(row)


def write_implicit(row: PreferenceRow) -> dict[str, JsonValue]:
    """Two whole conversations."""
    prompt = as_json(row.prompt)
    chosen, rejected = Message("assistant", row.chosen), Message("assistant", row.rejected)
    return {"chosen": prompt + as_json([chosen]), "rejected": prompt + as_json([rejected])} | _margin(row)


def write_implicit_standard(row: PreferenceRow) -> dict[str, JsonValue]:
    """Two whole texts."""
    prompt = row.prompt[0].content
    return {"chosen": prompt + row.chosen, "rejected": prompt + row.rejected} | _margin(row)


def holds(row: PreferenceRow) -> bool:
    """Conversations hold all but a tie, which has no winner."""
    return row.p_chosen != 0.5


def holds_standard(row: PreferenceRow) -> bool:
    return holds(row) and one_question(row)


def holds_implicit_standard(row: PreferenceRow) -> bool:
    """The prompt must be all that the two texts share, or a reader cuts elsewhere."""
    if not holds_standard(row):
        return False
    prompt, *_ = split = split_texts(row.prompt[0].content + row.chosen, row.prompt[0].content + row.rejected)
    return bool(prompt.strip()) and split == (row.prompt[0].content, row.chosen, row.rejected)


def _is_whole(value: JsonValue) -> bool:
    """Whether it is a conversation from its first turn on; in UltraFeedback `prompt` is then only a part of it."""
    return isinstance(value, list) and len(value) > 1 and not (isinstance(value[0], dict) and _by_model(value[0]))


def _by_model(turn: dict[str, JsonValue]) -> bool:
    return turn.get("role", turn.get("from")) in ("assistant", "gpt")


def annotators_of(value: dict[str, JsonValue]) -> tuple[str, ...]:
    given = value.get("annotators", value.get("annotator", []))
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return tuple(str(name) for name in names)


def _tags(value: dict[str, JsonValue], scores: Scores) -> tuple[tuple[str, str], ...]:
    margin = value.get("margin")
    if margin is None:
        return scores.tags
    number = as_number(margin)
    if number is None:
        raise ValueError(f"margin is {margin!r}; take a number")
    return (*scores.tags, ("margin", repr(number)))


def _margin(row: PreferenceRow) -> dict[str, JsonValue]:
    margin = tag_number(row, "margin")
    return {} if margin is None else {"margin": margin}

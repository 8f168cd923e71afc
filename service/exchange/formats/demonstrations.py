"""Demonstrations, one reply to a prompt: TRL's and OpenAI's `messages`, TRL's `prompt` with `completion`, and our rows
without `rejected`. Written as `messages`, which both read.
"""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import JsonValue

from judges.records import Conversation, Message
from service.exchange.formats import charter
from service.exchange.formats.pair import Pair, number_within
from service.exchange.formats.trl import MESSAGES, annotators_of
from service.exchange.messages import as_json, conversation, ends_with_user, reply
from service.exchange.notices import not_held
from training.demonstrated import prompt_and_reply, refuse_no_example
from training.rows import PreferenceRow

SCHEMA = pa.schema([("messages", MESSAGES)])
# What tells a row of ours; with less, a line without `rejected` may as well be a pair that lost it.
OURS = {"id", "prompt_id", "source", "chosen"}


def read(value: dict[str, JsonValue]) -> Iterator[PreferenceRow | Pair]:
    """A row of ours with its id, or a pair whose rejected reply is empty."""
    if value.get("rejected"):
        raise ValueError("a pair among demonstrations (lines without rejected); post them as two sets")
    prompt, said = _prompt_and_reply(value)
    refuse_no_example(value.get("label", True), said)
    if value.keys() >= OURS:
        yield charter.read(value | {"rejected": ""}, "row")
        return
    weight = number_within(value.get("weight"), 1.0, "weight", 0.0, 1e6)
    yield Pair(prompt, said, "", 1.0, weight, annotators_of(value), notices=not_held(value))


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    return {"messages": as_json([*row.prompt, Message("assistant", row.chosen)])}


def holds(row: PreferenceRow) -> bool:
    """One reply, which somebody would imitate."""
    return not row.rejected and row.p_chosen != 0.5 and bool(row.chosen.strip())


def _prompt_and_reply(value: dict[str, JsonValue]) -> tuple[Conversation, str]:
    if "chosen" in value or "messages" not in value:
        name = "chosen" if "chosen" in value else "completion"
        return ends_with_user(conversation(value.get("prompt"), "prompt"), "prompt"), reply(value.get(name), name)
    prompt, said = prompt_and_reply(conversation(value["messages"], "messages"))
    return ends_with_user(prompt, "messages before the reply"), said

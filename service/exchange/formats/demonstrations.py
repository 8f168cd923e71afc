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
from training.rows import PreferenceRow

SCHEMA = pa.schema([("messages", MESSAGES)])
# What tells a row of ours; with less, a line without `rejected` may as well be a pair that lost it.
OURS = {"id", "prompt_id", "source", "chosen"}


def read(value: dict[str, JsonValue]) -> Iterator[PreferenceRow | Pair]:
    """A row of ours with its id, or a pair whose rejected reply is empty."""
    if value.get("rejected"):
        raise ValueError("a pair among demonstrations (lines without rejected); post them as two sets")
    if value.get("label", True) in (False, "False", "false"):  # TRL's unpaired preferences
        raise ValueError("label is false, so the reply is none to imitate; leave the line out")
    prompt, said = _prompt_and_reply(value)
    if not said.strip():
        raise ValueError("the reply is empty; write one, or leave the line out")
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
    turns = conversation(value["messages"], "messages")
    if len(turns) == 1 or turns[-1].role != "assistant":
        raise ValueError("messages must be a prompt's turns and, at the end, the assistant's reply")
    return ends_with_user(turns[:-1], "messages before the reply"), turns[-1].content

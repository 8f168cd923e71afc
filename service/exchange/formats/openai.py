"""OpenAI's preference fine-tuning lines, which Azure, Together and Fireworks read too."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import JsonValue

from judges.records import Message
from service.exchange.formats.pair import Pair
from service.exchange.formats.trl import MESSAGES
from service.exchange.messages import as_json, conversation, ends_with_user, reply
from service.exchange.notices import Notice, not_held
from training.rows import PreferenceRow

_INPUT = pa.struct([("messages", MESSAGES), ("tools", pa.list_(pa.string())), ("parallel_tool_calls", pa.bool_())])
SCHEMA = pa.schema([("input", _INPUT), ("preferred_output", MESSAGES), ("non_preferred_output", MESSAGES)])


def read(value: dict[str, JsonValue]) -> Iterator[Pair]:
    asked = value.get("input")
    messages = asked.get("messages") if isinstance(asked, dict) else None
    prompt = ends_with_user(conversation(messages, "input.messages"), "input.messages")
    chosen = _output(value.get("preferred_output"), "preferred_output")
    rejected = _output(value.get("non_preferred_output"), "non_preferred_output")
    joined: tuple[Notice, ...] = ("joined",) if len(chosen) > 1 or len(rejected) > 1 else ()
    held = not_held(asked) if isinstance(asked, dict) else ()
    yield Pair(prompt, "\n\n".join(chosen), "\n\n".join(rejected), notices=(*held, *joined))


def _output(value: JsonValue, what: str) -> tuple[str, ...]:
    """The assistant's message, or its messages one after the other."""
    if not isinstance(value, list) or len(value) < 2:
        return (reply(value, what),)
    return tuple(reply(one, f"{what}[{index}]") for index, one in enumerate(value))


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    """The strict form: one message of the assistant each, which every reader of the format takes."""
    return {
        "input": {"messages": as_json(row.prompt), "tools": [], "parallel_tool_calls": True},
        "preferred_output": as_json([Message("assistant", row.chosen)]),
        "non_preferred_output": as_json([Message("assistant", row.rejected)]),
    }

"""HH-RLHF: two whole transcripts as text."""

import re
from collections.abc import Iterator

import pyarrow as pa
from pydantic import JsonValue

from judges.records import Conversation, Message
from service.exchange.formats.pair import Pair
from service.exchange.notices import parting
from training.implicit_prompts import shared_prefix
from training.rows import PreferenceRow

SCHEMA = pa.schema([("chosen", pa.string()), ("rejected", pa.string())])
_TURN = re.compile(r"\n\n(Human|Assistant):")
_NAMES = {"user": "Human", "assistant": "Assistant"}


def read(value: dict[str, JsonValue]) -> Iterator[Pair]:
    whole = _transcript(value.get("chosen"), "chosen"), _transcript(value.get("rejected"), "rejected")
    prompt, chosen, rejected = shared_prefix(*whole)
    yield Pair(prompt, chosen, rejected, notices=parting(prompt, *whole))


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    start = "".join(f"\n\n{_NAMES[turn.role]}: {turn.content}" for turn in row.prompt)
    return {"chosen": f"{start}\n\nAssistant: {row.chosen}", "rejected": f"{start}\n\nAssistant: {row.rejected}"}


def holds(row: PreferenceRow) -> bool:
    """It begins with the user, has no system turn and no tie, and knows turns only by their marks in the text."""
    roles = [turn.role for turn in row.prompt]
    texts = (row.chosen, row.rejected, *(turn.content for turn in row.prompt))
    return (
        row.p_chosen != 0.5
        and roles[0] == "user"
        and "system" not in roles
        and all(text == text.strip() and not _TURN.search(text) for text in texts)
    )


def _transcript(value: JsonValue, what: str) -> Conversation:
    if not isinstance(value, str):
        raise ValueError(f"{what} is not a transcript")
    parts = _TURN.split(value)
    if parts[0].strip() or len(parts) < 3:
        raise ValueError(f"{what} does not begin with a blank line and 'Human:'")
    turns = [
        Message("user" if who == "Human" else "assistant", text.strip())
        for who, text in zip(parts[1::2], parts[2::2], strict=True)
    ]
    return tuple(turns)

"""Preference sets in and out: ours, TRL, OpenAI, HH-RLHF, UltraFeedback (binarized) and Argilla records.

Loose in, strict out. A row that lacks its belief is taken as 1.0; every fault names its line, and nothing is stored.
What a format cannot hold is not bent into it: see `holds`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import JsonValue

from judges.records import Conversation, Message
from service.errors import InvalidInput
from service.exchange.messages import as_json, conversation, conversation_id, ends_with_user, reply
from service.exchange.records import Line, read_lines, refuse
from training.errors import RowError
from training.rows import PreferenceRow, row_from_json, row_to_json

Format = Literal["charter", "trl", "openai", "hh-rlhf", "ultrafeedback", "argilla"]
_TURN = re.compile(r"\n\n(Human|Assistant):")


@dataclass(frozen=True, slots=True)
class Pair:
    """What every format holds at least."""

    prompt: Conversation
    chosen: str
    rejected: str
    p_chosen: float = 1.0
    weight: float = 1.0
    annotators: tuple[str, ...] = ()


def read_preferences(
    data: bytes, filename: str, content_type: str, format: Format | None, origin: str
) -> list[PreferenceRow]:
    """Pairs of any of the formats (told by the first line where none is given) as human rows; twins are one row.

    Our own format says itself where a row comes from: a machine's row stays a machine's.
    """
    lines = read_lines(data, filename, content_type)
    if not lines:
        raise InvalidInput("there are no rows; write one JSON object a line")
    format = format or sniff_format(lines[0])
    rows: dict[str, PreferenceRow] = {}
    problems: list[str] = []
    for line in lines:
        try:
            for row in _rows_of(line, format, origin):
                if rows.setdefault(row.id, row) != row and format == "charter":
                    raise ValueError(f"the id {row.id!r} stands on another row already; give each its own")
        except ValueError as error:
            problems.append(f"{line.place}: {error}")
        except RowError as error:  # it names the line itself
            problems.append(str(error))
    refuse(problems)
    if not rows:
        raise InvalidInput("no row holds a submitted answer; nothing was stored")
    return list(rows.values())


def sniff_format(line: Line) -> Format:
    """The format of a first line. Raises InvalidInput that says what was seen."""
    keys = set(line.value)
    if {"id", "prompt_id", "source", "chosen", "rejected"} <= keys:
        return "charter"
    if "preferred_output" in keys:
        return "openai"
    if {"fields", "responses"} <= keys:
        return "argilla"
    if {"chosen", "rejected"} <= keys:
        chosen = line.value["chosen"]
        if isinstance(chosen, str) and chosen.startswith("\n\nHuman:") and "prompt" not in keys:
            return "hh-rlhf"
        return "ultrafeedback" if {"score_chosen", "score_rejected"} <= keys else "trl"
    raise InvalidInput(
        f"{line.place}: no known format has the keys {', '.join(sorted(keys))}; name it with ?format= "
        f"({', '.join(get_args(Format))})"
    )


def holds(format: Format, row: PreferenceRow) -> bool:
    """Whether the format can hold the row's texts and its winner; only ours holds beliefs, weights and sources."""
    if row.p_chosen == 0.5 and format not in ("charter", "ultrafeedback", "argilla"):
        return False  # a tie has no winner
    if format == "ultrafeedback":
        return row.prompt[0].role != "assistant"
    return format != "hh-rlhf" or _fits_transcript(row)


def _fits_transcript(row: PreferenceRow) -> bool:
    """HH-RLHF begins with the user, has no system turn, and knows turns only by their marks in the text."""
    roles = [turn.role for turn in row.prompt]
    texts = (row.chosen, row.rejected, *(turn.content for turn in row.prompt))
    return (
        roles[0] == "user"
        and "system" not in roles
        and all(text == text.strip() and not _TURN.search(text) for text in texts)
    )


def write_preferences(rows: Sequence[PreferenceRow], format: Format) -> Iterator[str]:
    """One JSON line for each row that the format holds."""
    for row in rows:
        if not holds(format, row):
            continue
        yield (
            row_to_json(row) if format == "charter" else json.dumps(_WRITERS[format](row), ensure_ascii=False)
        ) + "\n"


def _rows_of(line: Line, format: Format, origin: str) -> Iterator[PreferenceRow]:
    if format != "charter":
        for pair in _READERS[format](line.value):
            yield human_row(pair, f"{origin}, {line.place}")
        return
    row = row_from_json(json.dumps(line.value, ensure_ascii=False), line.place)
    ends_with_user(row.prompt, "prompt")
    if row.chosen == row.rejected:
        raise ValueError("chosen and rejected are the same text")
    yield row


def _trl(value: dict[str, JsonValue]) -> Iterator[Pair]:
    if "prompt" in value and not (_is_whole(value.get("chosen")) and _is_whole(value.get("rejected"))):
        prompt = ends_with_user(conversation(value["prompt"], "prompt"), "prompt")
        chosen, rejected = reply(value.get("chosen"), "chosen"), reply(value.get("rejected"), "rejected")
    else:
        prompt, chosen, rejected = _shared_prefix(
            conversation(value.get("chosen"), "chosen"), conversation(value.get("rejected"), "rejected")
        )
    annotators = value.get("annotators", value.get("annotator", []))
    tied = _is_number(value.get("score_chosen")) and value["score_chosen"] == value.get("score_rejected")
    names = [annotators] if isinstance(annotators, str) else annotators if isinstance(annotators, list) else []
    yield Pair(
        prompt,
        chosen,
        rejected,
        _number(value.get("p_chosen"), 0.5 if tied else 1.0, "p_chosen", 0.5, 1.0),
        _number(value.get("weight"), 1.0, "weight", 0.0, 1e6),
        tuple(str(name) for name in names),
    )


def _is_whole(value: JsonValue) -> bool:
    """Whether it is a conversation from its first turn on; in UltraFeedback `prompt` is then only a part of it."""
    return isinstance(value, list) and len(value) > 1 and not (isinstance(value[0], dict) and _by_model(value[0]))


def _by_model(turn: dict[str, JsonValue]) -> bool:
    return turn.get("role", turn.get("from")) in ("assistant", "gpt")


def _openai(value: dict[str, JsonValue]) -> Iterator[Pair]:
    asked = value.get("input")
    messages = asked.get("messages") if isinstance(asked, dict) else None
    prompt = ends_with_user(conversation(messages, "input.messages"), "input.messages")
    yield Pair(
        prompt,
        reply(value.get("preferred_output"), "preferred_output"),
        reply(value.get("non_preferred_output"), "non_preferred_output"),
    )


def _hh_rlhf(value: dict[str, JsonValue]) -> Iterator[Pair]:
    yield Pair(
        *_shared_prefix(_transcript(value.get("chosen"), "chosen"), _transcript(value.get("rejected"), "rejected"))
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


def _shared_prefix(chosen: Conversation, rejected: Conversation) -> tuple[Conversation, str, str]:
    """Two whole conversations that differ in their last turn, or from one turn of the assistant on."""
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise ValueError("both conversations must end with the assistant's reply")
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    while same and chosen[same - 1].role != "user":
        same -= 1
    if not same:
        raise ValueError("the two conversations do not begin with the same prompt")
    return ends_with_user(chosen[:same], "the shared prompt"), chosen[same].content, rejected[same].content


def _argilla(value: dict[str, JsonValue]) -> Iterator[Pair]:
    fields, responses = value.get("fields"), value.get("responses")
    if not isinstance(fields, dict) or not isinstance(responses, list):
        raise ValueError("an Argilla record needs fields (prompt, response_a, response_b) and responses")
    prompt = ends_with_user(conversation(fields.get("prompt"), "fields.prompt"), "fields.prompt")
    a, b = reply(fields.get("response_a"), "fields.response_a"), reply(fields.get("response_b"), "fields.response_b")
    for response in responses:
        answer = response.get("values", {}) if isinstance(response, dict) else {}
        choice = answer.get("preference", {}) if isinstance(answer, dict) else {}
        picked = choice.get("value") if isinstance(choice, dict) else None
        if not isinstance(response, dict) or response.get("status") != "submitted":
            continue
        if picked not in ("a", "b", "tie"):
            raise ValueError(f"the preference is {picked!r}; it must be a, b or tie")
        chosen, rejected = (b, a) if picked == "b" else (a, b)
        yield Pair(prompt, chosen, rejected, 0.5 if picked == "tie" else 1.0, 1.0, _named(response))


def _named(response: dict[str, JsonValue]) -> tuple[str, ...]:
    user = response.get("user_id")
    return (str(user),) if user else ()


_READERS: dict[Format, Callable[[dict[str, JsonValue]], Iterator[Pair]]] = {
    "trl": _trl,
    "openai": _openai,
    "hh-rlhf": _hh_rlhf,
    "ultrafeedback": _trl,
    "argilla": _argilla,
}


def _to_trl(row: PreferenceRow) -> JsonValue:
    return {
        "prompt": as_json(row.prompt),
        "chosen": as_json([Message("assistant", row.chosen)]),
        "rejected": as_json([Message("assistant", row.rejected)]),
    }


def _to_openai(row: PreferenceRow) -> JsonValue:
    return {
        "input": {"messages": as_json(row.prompt), "tools": [], "parallel_tool_calls": True},
        "preferred_output": as_json([Message("assistant", row.chosen)]),
        "non_preferred_output": as_json([Message("assistant", row.rejected)]),
    }


def _to_hh_rlhf(row: PreferenceRow) -> JsonValue:
    names = {"user": "Human", "assistant": "Assistant"}
    start = "".join(f"\n\n{names[turn.role]}: {turn.content}" for turn in row.prompt)
    return {"chosen": f"{start}\n\nAssistant: {row.chosen}", "rejected": f"{start}\n\nAssistant: {row.rejected}"}


def _to_ultrafeedback(row: PreferenceRow) -> JsonValue:
    prompt = as_json(row.prompt)
    chosen, rejected = Message("assistant", row.chosen), Message("assistant", row.rejected)
    return {
        "prompt": row.prompt[-1].content,
        "prompt_id": row.prompt_id,
        "chosen": prompt + as_json([chosen]),
        "rejected": prompt + as_json([rejected]),
        "score_chosen": row.p_chosen,
        "score_rejected": 1 - row.p_chosen,
    }


def _to_argilla(row: PreferenceRow) -> JsonValue:
    picked: JsonValue = {"preference": {"value": "tie" if row.p_chosen == 0.5 else "a"}}
    people: tuple[str | None, ...] = row.annotators or (None,)
    answers: list[JsonValue] = [{"values": picked, "status": "submitted", "user_id": user} for user in people]
    return {
        "external_id": row.id,
        "fields": {"prompt": as_json(row.prompt), "response_a": row.chosen, "response_b": row.rejected},
        "responses": answers,
    }


_WRITERS: dict[Format, Callable[[PreferenceRow], JsonValue]] = {
    "trl": _to_trl,
    "openai": _to_openai,
    "hh-rlhf": _to_hh_rlhf,
    "ultrafeedback": _to_ultrafeedback,
    "argilla": _to_argilla,
}


def human_row(pair: Pair, origin: str) -> PreferenceRow:
    """A person's pair as a row; its id is a hash of prompt and replies, so an upload twice over adds nothing."""
    if pair.chosen == pair.rejected:
        raise ValueError("chosen and rejected are the same text")
    matter = json.dumps([as_json(pair.prompt), pair.chosen, pair.rejected, pair.annotators], ensure_ascii=False)
    return PreferenceRow(
        id="h" + hashlib.sha256(matter.encode()).hexdigest()[:24],
        prompt_id=conversation_id(pair.prompt),
        prompt=pair.prompt,
        chosen=pair.chosen,
        rejected=pair.rejected,
        p_chosen=pair.p_chosen,
        weight=pair.weight,
        source="human",
        annotators=pair.annotators,
        origin=origin,
    )


def _number(value: JsonValue, default: float, what: str, low: float, high: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}; take a number from {low:g} to {high:g}")
    return float(value)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

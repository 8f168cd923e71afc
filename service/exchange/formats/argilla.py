"""Argilla v2 records: a prompt, two replies or more, people's responses and machines' suggestions.

An answer is a label (a, b, tie, or a field's name) or a ranking of the replies, which gives a pair for each two. A
label among more than two gives one for each other reply. Such pairs are of less weight (training/ranked.py).
Read both as the server lists records and as the SDK writes them to a file. Drafts and discarded answers say nothing.
All rows on one pair are one record, whose people answer once each and which has one suggestion.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pyarrow as pa
from pydantic import JsonValue

from service.exchange.cells import mapping_of, parsed_cell
from service.exchange.formats.extras import (
    RECORD_META,
    Answer,
    chosen_second,
    machine_score,
    of_record,
    record_id,
    record_tags,
    rows_of_answers,
    score_of,
    voices_of,
    write_extras,
)
from service.exchange.formats.pair import Pair, as_number, picked_tags, ranking_tags
from service.exchange.formats.pair_records import pair_records
from service.exchange.messages import as_json, conversation, ends_with_user, reply
from training.rows import PreferenceRow

# Their shape depends on the questions: in a table they are JSON.
SCHEMA = pa.schema([(name, pa.string()) for name in ("external_id", "fields", "metadata", "responses", "suggestions")])
_REPLY = "response"
_ASKED = ("preference", "ranking")


@dataclass(frozen=True, slots=True)
class _Given:
    """One answer as it stands, of a person, or of a machine with its `score`, 0 to 1."""

    value: JsonValue
    who: str
    machine: bool
    score: JsonValue = None


def read(value: dict[str, JsonValue]) -> Iterator[PreferenceRow | Pair]:
    fields = mapping_of(value.get("fields"))
    if fields is None or ("responses" not in value and "suggestions" not in value):
        raise ValueError("an Argilla record needs fields (prompt, response_a, response_b) and responses")
    prompt = ends_with_user(conversation(fields.get("prompt"), "fields.prompt"), "fields.prompt")
    replies = {name: reply(text, f"fields.{name}") for name, text in fields.items() if name.startswith(_REPLY)}
    if len(replies) < 2:
        raise ValueError(f"fields needs two replies, as response_a and response_b; it has {', '.join(fields)}")
    said, suggested = (_plain(value.get(name)) for name in ("responses", "suggestions"))
    given = (*_responses(said, replies), *_suggestions(suggested, replies))
    answers = [answer for one in given for answer in _answers(one, replies)]
    metadata = value.get("metadata")
    record = record_tags(value.get("external_id") or value.get("id"), metadata, {})
    yield from rows_of_answers(prompt, answers, metadata, "metadata", record)


def write(rows: Iterable[PreferenceRow]) -> Iterator[dict[str, JsonValue]]:
    """A record for each pair, or more where a person has several rows on it, or machines have."""
    return map(_record, pair_records(rows, lambda row, who: who if row.source == "human" else None))


def _record(rows: Sequence[PreferenceRow]) -> dict[str, JsonValue]:
    """The first row's chosen reply comes as A, unless its labeller saw it as B. Machines' rows are suggestions."""
    first, second = rows[0].chosen, rows[0].rejected
    if chosen_second(rows[0]):
        first, second = second, first
    responses: list[JsonValue] = []
    suggestions: list[JsonValue] = []
    for row in rows:
        picked = "tie" if row.p_chosen == 0.5 else "a" if row.chosen == first else "b"
        if row.source == "human":
            values: JsonValue = {"preference": {"value": picked}}
            responses += [{"values": values, "status": "submitted", "user_id": who or None} for who in voices_of(row)]
        else:
            machine: dict[str, JsonValue] = {"question_name": "preference", "type": "model", "value": picked}
            suggestions.append(machine | {"agent": row.judge, "score": score_of(row)})
    return {
        "external_id": record_id(rows) or rows[0].id,
        "fields": {"prompt": as_json(rows[0].prompt), "response_a": first, "response_b": second},
        "metadata": of_record(rows, RECORD_META) | write_extras(rows),
        "responses": responses,
        "suggestions": suggestions,
    }


def _answers(given: _Given, replies: Mapping[str, str]) -> Iterator[Answer]:
    names = list(replies)
    part = ranking_tags(len(given.value)) if isinstance(given.value, list) else picked_tags(len(names))
    told = machine_score(given.score if given.machine else None, "a suggestion's score")
    for good, bad, tied in _decided(given.value, replies):
        belief, score = (0.5, "") if tied else (told.belief, told.score)
        first = good == names[0] if len(names) == 2 and not tied else None
        yield Answer(replies[good], replies[bad], belief, given.who, given.machine, first, part, score)


def _responses(value: JsonValue, replies: Mapping[str, str]) -> Iterator[_Given]:
    """The server's list of {values: {question: {value}}, status, user_id}, or the SDK's {question: [{value}]}."""
    if isinstance(value, dict):
        answers = {name: items for name, items in value.items() if isinstance(items, list)}
        asked = _asked({name: [_value(item) for item in items] for name, items in answers.items()}, replies)
        for item in answers[asked] if asked is not None else ():
            if isinstance(item, dict) and item.get("status", "submitted") == "submitted":
                yield _Given(item.get("value"), _who(item.get("user_id")), machine=False)
        return
    if value is not None and not isinstance(value, list):
        raise ValueError("responses is not a list")
    for item in value or ():
        if isinstance(item, dict) and item.get("status") == "submitted":
            said = {name: _value(answer) for name, answer in (mapping_of(item.get("values")) or {}).items()}
            asked = _asked({name: [answer] for name, answer in said.items()}, replies)
            if asked is not None and said[asked] is not None:
                yield _Given(said[asked], _who(item.get("user_id")), machine=False)


def _suggestions(value: JsonValue, replies: Mapping[str, str]) -> Iterator[_Given]:
    """The server's list, in which each item names its question or only its id, or the SDK's {question: {value}}."""
    if isinstance(value, dict):
        asked = _asked({name: [_value(item)] for name, item in value.items()}, replies)
        items: Sequence[JsonValue] = [] if asked is None else [value[asked]]
    else:
        listed = value if isinstance(value, list) else []
        items = [one for one in listed if _question(one) in _ASKED or _names_replies(_value(one), replies)]
    for item in items:
        if isinstance(item, dict):
            machine = item.get("type", "model") != "human"
            yield _Given(item.get("value"), _who(item.get("agent")), machine, item.get("score"))


def _asked(answers: Mapping[str, Sequence[JsonValue]], replies: Mapping[str, str]) -> str | None:
    """Which question asks for the better reply: `preference`, `ranking`, or the only one whose answers name replies."""
    known = [name for name in _ASKED if name in answers]
    found = known or [name for name in answers if any(_names_replies(one, replies) for one in answers[name])]
    return found[0] if known or len(found) == 1 else None


def _names_replies(value: JsonValue, replies: Mapping[str, str]) -> bool:
    """Whether it is a label of the replies or a ranking. A rating may be a reply's number, and is none."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(place, dict) and "value" in place for place in value)
    return isinstance(value, str) and value in (
        *replies,
        *map(_short, replies),
        *(("tie",) if len(replies) == 2 else ()),
    )


def _value(item: JsonValue) -> JsonValue:
    return item.get("value") if isinstance(item, dict) else None


def _question(item: JsonValue) -> JsonValue:
    return item.get("question_name") if isinstance(item, dict) else None


def _plain(value: JsonValue) -> JsonValue:
    """A table's cell as what it is the JSON of."""
    return parsed_cell(value) if isinstance(value, str) else value


def _who(value: JsonValue) -> str:
    return "" if value is None else str(value)


def _decided(answer: JsonValue, replies: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """(better reply, worse reply, whether they tie), by the names of their fields."""
    names = list(replies)
    if isinstance(answer, list):
        yield from _ranked(answer, names)
        return
    if answer == "tie" and len(names) == 2:
        yield names[0], names[1], True
        return
    short = {_short(name): name for name in names}
    picked = answer if isinstance(answer, str) and answer in replies else short.get(str(answer))
    if picked is None:
        raise ValueError(f"the preference is {answer!r}; it must be {', '.join(short)} or tie")
    yield from ((picked, name, False) for name in names if name != picked)


def _short(name: str) -> str:
    """Of response_a, the a."""
    return name.removeprefix(_REPLY).lstrip("_-")


def _ranked(answer: Sequence[JsonValue], names: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    ranks: dict[str, float] = {}
    for item in answer:
        rank = as_number(item.get("rank")) if isinstance(item, dict) else None
        named = item.get("value") if isinstance(item, dict) else None
        name = next((one for one in names if named in (one, _short(one))), None)
        if rank is None or name is None or name in ranks:
            raise ValueError(f"{item!r} is no place in a ranking of {', '.join(names)}; write {{value, rank}}")
        ranks[name] = rank
    for one, other in combinations(ranks, 2):
        good, bad = (one, other) if ranks[one] <= ranks[other] else (other, one)
        yield good, bad, ranks[one] == ranks[other]

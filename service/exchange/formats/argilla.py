"""Argilla v2 records: a prompt, two replies or more, people's responses and machines' suggestions.

An answer is a label (a, b, tie, or a field's name) or a ranking of the replies, which gives a pair for each two, of
less weight.
Read both as the server lists records and as the SDK writes them to a file. Drafts and discarded answers say nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pyarrow as pa
from pydantic import JsonValue

from service.exchange.cells import mapping_of, parsed_cell
from service.exchange.formats.extras import Extras, chosen_second, read_extras, side_tags, write_extras
from service.exchange.formats.pair import Pair, as_number, number_within, ranking_tags
from service.exchange.messages import as_json, conversation, ends_with_user, reply
from training.ranked import ranked_weight
from training.rows import PreferenceRow

# Their shape depends on the questions: in a table they are JSON.
SCHEMA = pa.schema([(name, pa.string()) for name in ("external_id", "fields", "metadata", "responses", "suggestions")])
_REPLY = "response"


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer of a person, or of a machine with its `score`, 0 to 1."""

    value: JsonValue
    who: str
    machine: bool
    score: JsonValue = None


def read(value: dict[str, JsonValue]) -> Iterator[Pair]:
    fields = mapping_of(value.get("fields"))
    if fields is None or ("responses" not in value and "suggestions" not in value):
        raise ValueError("an Argilla record needs fields (prompt, response_a, response_b) and responses")
    prompt = ends_with_user(conversation(fields.get("prompt"), "fields.prompt"), "fields.prompt")
    replies = {name: reply(text, f"fields.{name}") for name, text in fields.items() if name.startswith(_REPLY)}
    if len(replies) < 2:
        raise ValueError(f"fields needs two replies, as response_a and response_b; it has {', '.join(fields)}")
    extras = read_extras(mapping_of(value.get("metadata")), "metadata")
    said, suggested = (_plain(value.get(name)) for name in ("responses", "suggestions"))
    for answer in (*_responses(said), *_suggestions(suggested)):
        ranked = len(answer.value) if isinstance(answer.value, list) else 2
        for good, bad, tied in _decided(answer.value, replies):
            yield Pair(
                prompt,
                replies[good],
                replies[bad],
                0.5 if tied else _belief(answer, extras),
                extras.weight * ranked_weight(ranked),
                () if answer.machine or not answer.who else (answer.who,),
                source=extras.machine if answer.machine else "human",
                judge=answer.who if answer.machine else "",
                tags=side_tags(first=good == next(iter(replies)), extras=extras)
                if len(replies) == 2 and not tied
                else ranking_tags(ranked),
            )


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    """The chosen reply comes as A, unless its labeller saw it as B.

    People's rows have responses, a machine's a suggestion.
    """
    first, second = (row.rejected, row.chosen) if chosen_second(row) else (row.chosen, row.rejected)
    picked = "tie" if row.p_chosen == 0.5 else "a" if first == row.chosen else "b"
    responses: list[JsonValue] = []
    suggestions: list[JsonValue] = []
    if row.source == "human":
        people: tuple[str | None, ...] = row.annotators or (None,)
        values: JsonValue = {"preference": {"value": picked}}
        responses = [{"values": values, "status": "submitted", "user_id": user} for user in people]
    else:
        machine: JsonValue = {"question_name": "preference", "type": "model", "value": picked}
        suggestions = [machine | {"agent": row.judge, "score": row.p_chosen}] if isinstance(machine, dict) else []
    return {
        "external_id": row.id,
        "fields": {"prompt": as_json(row.prompt), "response_a": first, "response_b": second},
        "metadata": write_extras(row),
        "responses": responses,
        "suggestions": suggestions,
    }


def _belief(answer: _Answer, extras: Extras) -> float:
    if answer.machine and answer.score is not None:
        return number_within(answer.score, 1.0, "a suggestion's score", 0.5, 1.0)
    return 1.0 if extras.p_chosen is None else extras.p_chosen


def _responses(value: JsonValue) -> Iterator[_Answer]:
    """The server's list of {values: {question: {value}}, status, user_id}, or the SDK's {question: [{value}]}."""
    if isinstance(value, dict):
        answers = _of_question(value)
        for item in answers if isinstance(answers, list) else ():
            if isinstance(item, dict) and item.get("status", "submitted") == "submitted":
                yield _Answer(item.get("value"), _who(item.get("user_id")), machine=False)
        return
    if value is not None and not isinstance(value, list):
        raise ValueError("responses is not a list")
    for item in value or ():
        if isinstance(item, dict) and item.get("status") == "submitted":
            answer = _of_question(mapping_of(item.get("values")) or {})
            said = answer.get("value") if isinstance(answer, dict) else None
            yield _Answer(said, _who(item.get("user_id")), machine=False)


def _suggestions(value: JsonValue) -> Iterator[_Answer]:
    """The server's list, or the SDK's {question: {value, agent, score}}."""
    items = [_of_question(value)] if isinstance(value, dict) else value if isinstance(value, list) else []
    for item in items:
        if isinstance(item, dict):
            machine = item.get("type", "model") != "human"
            yield _Answer(item.get("value"), _who(item.get("agent")), machine, item.get("score"))


def _of_question(answers: Mapping[str, JsonValue]) -> JsonValue:
    """The answer to `preference`, to `ranking`, or to the only question there is."""
    for name in ("preference", "ranking"):
        if name in answers:
            return answers[name]
    return next(iter(answers.values())) if len(answers) == 1 else None


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

"""Label Studio tasks with annotations and predictions: the `Pairwise` tag on two texts, and the `Ranker` on a list.

Label Studio keeps no labelling configuration in its exports, so the replies are known by usual names of their fields.
A ranking gives a pair for each two items, of less weight. A pairwise task has no tie: nothing picked leaves no result.
All rows on one pair are one task, with an annotation for each person and a prediction for each judge.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pyarrow as pa
from pydantic import JsonValue

from service.exchange.cells import list_of, mapping_of
from service.exchange.formats.extras import (
    RECORD_DATA,
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
from service.exchange.formats.pair import Pair, one_question, ranking_tags
from service.exchange.formats.pair_records import pair_records
from service.exchange.messages import as_json, conversation, ends_with_user, reply
from training.rows import PreferenceRow

# Their shape depends on the configuration: in a table they are JSON.
SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "data", "annotations", "predictions", "meta")])
PROMPTS = ("prompt", "question", "instruction", "input")
SIDES = (
    ("response_a", "response_b"),
    ("response1", "response2"),
    ("text1", "text2"),
    ("answer1", "answer2"),
    ("left", "right"),
    ("a", "b"),
)
LISTS = ("items", "responses", "answers")
_TEXTS = ("body", "text", "html", "title")
# Of a ranker with several columns: the one that keeps the order, before any that sorts items away.
_COLUMNS = ("rank", "_")


@dataclass(frozen=True, slots=True)
class _Decided:
    """The better reply, the worse one, whether the better one stood left (None in a list), and the list's tags."""

    good: str
    bad: str
    left: bool | None
    part: tuple[tuple[str, str], ...] = ()


def read(value: dict[str, JsonValue]) -> Iterator[PreferenceRow | Pair]:
    data = mapping_of(value.get("data"))
    if data is None or ("annotations" not in value and "predictions" not in value):
        raise ValueError("a Label Studio task needs data (prompt, response_a, response_b) and annotations")
    name = next((known for known in PROMPTS if known in data), PROMPTS[0])
    prompt = ends_with_user(conversation(data.get(name), f"data.{name}"), f"data.{name}")
    answers = [*_annotated(data, value.get("annotations")), *_predicted(data, value.get("predictions"))]
    known = {name, *(side for both in SIDES for side in both), *LISTS}
    record = record_tags(value.get("id"), value.get("meta"), {key: data[key] for key in data if key not in known})
    yield from rows_of_answers(prompt, answers, value.get("meta"), "meta", record)


def write(rows: Iterable[PreferenceRow]) -> Iterator[dict[str, JsonValue]]:
    """A task for each pair, or more where a person or a judge has several rows on it."""
    return map(_task, pair_records(rows, lambda row, who: (row.source == "human", who)))


def _task(rows: Sequence[PreferenceRow]) -> dict[str, JsonValue]:
    """The first row's chosen reply stands left, unless its labeller saw it on the right."""
    prompt: JsonValue = rows[0].prompt[0].content if one_question(rows[0]) else as_json(rows[0].prompt)
    left, right = rows[0].chosen, rows[0].rejected
    if chosen_second(rows[0]):
        left, right = right, left
    annotations: list[JsonValue] = []
    predictions: list[JsonValue] = []
    for row in rows:
        picked = _pick("left" if row.chosen == left else "right")
        if row.source == "human":
            answer: dict[str, JsonValue] = {"was_cancelled": False, "result": [picked]}
            annotations += [answer | ({"completed_by": _account(who)} if who else {}) for who in voices_of(row)]
        else:
            predictions.append({"model_version": row.judge, "score": score_of(row), "result": [picked]})
    own: dict[str, JsonValue] = {} if (id := record_id(rows)) is None else {"id": _number_or_text(id)}
    return own | {
        "data": of_record(rows, RECORD_DATA) | {"prompt": prompt, "response_a": left, "response_b": right},
        "annotations": annotations,
        "predictions": predictions,
        "meta": of_record(rows, RECORD_META) | write_extras(rows),
    }


def _account(who: str) -> JsonValue:
    """As Label Studio names people: by the number of their account, or by their email."""
    number = _number_or_text(who)
    return number if isinstance(number, int) else {"email": who}


def _number_or_text(id: str) -> int | str:
    return int(id) if id.isascii() and id.isdecimal() and str(int(id)) == id else id


def _pick(side: str) -> JsonValue:
    return {"from_name": "preference", "to_name": "preference", "type": "pairwise", "value": {"selected": side}}


def holds(row: PreferenceRow) -> bool:
    """People cannot say a tie in a pairwise task; a machine's prediction can have the score of one."""
    return row.p_chosen != 0.5 or row.source != "human"


def _annotated(data: Mapping[str, JsonValue], annotations: JsonValue) -> Iterator[Answer]:
    for annotation in list_of(annotations):
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            who = _person(annotation.get("completed_by"))
            for one in _decided(data, annotation):
                yield Answer(one.good, one.bad, 1.0, who, False, one.left, one.part)


def _predicted(data: Mapping[str, JsonValue], predictions: JsonValue) -> Iterator[Answer]:
    """A machine's order, and the belief in it that its score may be."""
    for prediction in list_of(predictions):
        if isinstance(prediction, dict):
            told = machine_score(prediction.get("score"), "a prediction's score")
            version = prediction.get("model_version")
            judge = "" if version is None else str(version)
            for one in _decided(data, prediction):
                first = None if told.belief == 0.5 else one.left
                yield Answer(one.good, one.bad, told.belief, judge, True, first, one.part, told.score)


def _decided(data: Mapping[str, JsonValue], answer: Mapping[str, JsonValue]) -> Iterator[_Decided]:
    """Of each result. A prediction may be the result itself."""
    for result in list_of(answer.get("result")) or [dict(answer)]:
        value = mapping_of(result.get("value")) if isinstance(result, dict) else None
        if value and "selected" in value:
            yield _selected(data, value["selected"])
        elif value and "ranker" in value:
            order = _ranked(data, value["ranker"])
            part = ranking_tags(len(order))
            yield from (_Decided(*pair, left=None, part=part) for pair in combinations(order, 2))


def _selected(data: Mapping[str, JsonValue], picked: JsonValue) -> _Decided:
    sides = next((both for both in SIDES if set(both) <= set(data)), None)
    if sides is None:
        known = "; ".join(" and ".join(both) for both in SIDES)
        raise ValueError(f"data has the fields {', '.join(data)}; name the two replies as one of: {known}")
    if picked not in ("left", "right"):
        raise ValueError(f"the selected side is {picked!r}; it must be left or right")
    left, right = (reply(data[name], f"data.{name}") for name in sides)
    return _Decided(left, right, left=True) if picked == "left" else _Decided(right, left, left=False)


def _ranked(data: Mapping[str, JsonValue], ranker: JsonValue) -> Sequence[str]:
    """The texts, the best first."""
    columns = ranker if isinstance(ranker, dict) else {"rank": ranker}
    order = next((columns[name] for name in _COLUMNS if columns.get(name)), None)
    if order is None and len(columns) == 1:
        order = next(iter(columns.values()))
    items = next((data[name] for name in LISTS if isinstance(data.get(name), list)), None)
    if not isinstance(order, list) or not isinstance(items, list):
        raise ValueError(f"a ranking needs the list of ids in `ranker`, and the items in data.{LISTS[0]}")
    texts: dict[str, str] = {}
    for index, item in enumerate(items):
        text = next((item[name] for name in _TEXTS if item.get(name)), None) if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(text, str):
            raise ValueError(f"data.items[{index}] has no text; write {{id, body}}")
        texts[str(item.get("id"))] = text
    if unknown := [id for id in order if str(id) not in texts]:
        raise ValueError(f"the ranking names {unknown[0]!r}, which data.items does not have")
    return [texts[str(id)] for id in order]


def _person(value: JsonValue) -> str:
    """An id, or an object with an email."""
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return "" if value is None else str(value)

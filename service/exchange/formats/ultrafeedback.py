"""UltraFeedback: binarized pairs with scores, and the full form, whose completions a model rated on four aspects.

The full form comes in only: each two completions that have ratings are one pair, decided by the mean rating. Together
they are the ranking of one prompt's completions, and weigh as one does (training/ranked.py).
`overall_score` is left aside, since it was wrong in thousands of published rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import pyarrow as pa
from pydantic import JsonValue

from judges.records import Message
from service.exchange.formats import trl
from service.exchange.formats.pair import Pair, as_number, ranking_tags, scores_of
from service.exchange.messages import as_json, conversation, reply
from training.ranked import labels_in
from training.rows import PreferenceRow, conversation_id

_PROMPT_ID = "prompt_id"
SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        (_PROMPT_ID, pa.string()),
        ("chosen", trl.MESSAGES),
        ("rejected", trl.MESSAGES),
        ("score_chosen", pa.float64()),
        ("score_rejected", pa.float64()),
        ("p_chosen", pa.float64()),
    ]
)
# The published ratings are GPT-4's.
_RATER = "ultrafeedback"


@dataclass(frozen=True, slots=True)
class _Completion:
    text: str
    ratings: Mapping[str, float]


def read(value: dict[str, JsonValue]) -> Iterator[Pair]:
    given = value.get(_PROMPT_ID)
    for pair in _read_full(value) if "completions" in value else trl.read(value):
        foreign = isinstance(given, str | int) and given not in ("", conversation_id(pair.prompt))
        # As a tag: a set's own id stands for one text of a prompt, and nothing holds a foreign one to that.
        yield replace(pair, tags=(*pair.tags, (_PROMPT_ID, str(given)))) if foreign else pair


def write(row: PreferenceRow) -> dict[str, JsonValue]:
    """Binarized; without scores of its own, a row's belief and what is left of 1."""
    prompt = as_json(row.prompt)
    chosen, rejected = Message("assistant", row.chosen), Message("assistant", row.rejected)
    line: dict[str, JsonValue] = {
        "prompt": row.prompt[-1].content,
        _PROMPT_ID: dict(row.tags).get(_PROMPT_ID, row.prompt_id),
        "chosen": prompt + as_json([chosen]),
        "rejected": prompt + as_json([rejected]),
    }
    return line | scores_of(row, "score_chosen", "score_rejected")


def holds(row: PreferenceRow) -> bool:
    """A conversation that the assistant begins is read as a reply."""
    return row.prompt[0].role != "assistant"


def _read_full(value: dict[str, JsonValue]) -> Iterator[Pair]:
    prompt = conversation(value.get("instruction"), "instruction")
    given = value["completions"]
    if not isinstance(given, list):
        raise ValueError("completions is not a list")
    rated = [one for index, item in enumerate(given) if (one := _completion(item, f"completions[{index}]")).ratings]
    part = ranking_tags(len({one.text for one in rated}))
    for one, other in combinations(rated, 2):
        if one.text != other.text:
            yield _pair(prompt, one, other, part)


def _pair(prompt: tuple[Message, ...], one: _Completion, other: _Completion, part: tuple[tuple[str, str], ...]) -> Pair:
    """`part` are the tags of the ranking that the pair is a part of."""
    means = fmean(one.ratings.values()), fmean(other.ratings.values())
    good, bad = (one, other) if means[0] >= means[1] else (other, one)
    answers = [
        (aspect, 0.5 + 0.5 * _sign(rating - bad.ratings[aspect]))
        for aspect, rating in sorted(good.ratings.items())
        if aspect in bad.ratings
    ]
    scores = (("score_chosen", repr(max(means))), ("score_rejected", repr(min(means))))
    p_chosen = 0.5 if means[0] == means[1] else 1.0
    return Pair(
        prompt,
        good.text,
        bad.text,
        p_chosen,
        labels_in(part),
        source="ai",
        judge=_RATER,
        per_principle=tuple(answers),
        tags=(*scores, *part),
    )


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def _completion(item: JsonValue, what: str) -> _Completion:
    """With the aspects that have a number: a rating may be the text "N/A"."""
    if not isinstance(item, dict):
        raise ValueError(f"{what} is no object with a response and annotations")
    annotations = item.get("annotations")
    ratings: dict[str, float] = {}
    for aspect, annotation in annotations.items() if isinstance(annotations, dict) else ():
        rating = as_number(annotation.get("Rating")) if isinstance(annotation, dict) else None
        if rating is not None:
            ratings[aspect] = rating
    return _Completion(reply(item.get("response"), f"{what}.response"), ratings)

"""What a line of any format says of two replies, and the numbers that lines carry beside them."""

import math
from dataclasses import dataclass

from pydantic import JsonValue

from judges.records import Conversation
from service.exchange.notices import Notice
from training.ranked import PICKED, RANKED
from training.rows import PreferenceRow, Source

_PAIR = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """What every format holds at least; `tags` keep the numbers of a format that are no belief: margin, scores.

    `notices` are what an import has to say of its line.
    """

    prompt: Conversation
    chosen: str
    rejected: str
    p_chosen: float = 1.0
    weight: float = 1.0
    annotators: tuple[str, ...] = ()
    source: Source = "human"
    judge: str = ""
    per_principle: tuple[tuple[str, float], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Scores:
    """What two scores say: the belief, and the scores themselves where they say more than it, or another thing."""

    p_chosen: float
    tags: tuple[tuple[str, str], ...]
    notices: tuple[Notice, ...] = ()


def belief_of_scores(value: dict[str, JsonValue], chosen: str, rejected: str) -> Scores:
    """Two scores under these keys: equal ones are a tie, two that sum to 1 are a belief, others are kept as tags.

    A score that is missing or no number says nothing. Beside a `p_chosen` of the line's own any two are kept as tags.
    """
    high, low = as_number(value.get(chosen)), as_number(value.get(rejected))
    if high is None or low is None:
        return Scores(1.0, ())
    if value.get("p_chosen") is None and high + low == 1 and high >= low >= 0:
        return Scores(high, ())
    against: tuple[Notice, ...] = ("scores_against",) if high < low else ()
    return Scores(0.5 if high == low else 1.0, ((chosen, repr(high)), (rejected, repr(low))), against)


def scores_of(row: PreferenceRow, chosen: str, rejected: str) -> dict[str, JsonValue]:
    """The scores that a row came with, else its belief and what is left of 1.

    A belief that scores of its own do not say stands beside them as `p_chosen`, which other readers leave aside.
    """
    high, low = tag_number(row, chosen), tag_number(row, rejected)
    if high is None or low is None:
        return {chosen: row.p_chosen, rejected: 1 - row.p_chosen}
    scores: dict[str, JsonValue] = {chosen: high, rejected: low}
    said = belief_of_scores(scores, chosen, rejected)
    return scores if said.tags and said.p_chosen == row.p_chosen else scores | {"p_chosen": row.p_chosen}


def tag_number(row: PreferenceRow, name: str) -> float | None:
    """The number that a tag keeps, None where there is none."""
    text = dict(row.tags).get(name)
    return None if text is None else as_number(text)


def as_number(value: JsonValue) -> float | None:
    """A number or a text of one (a table's cell); None for anything else, and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def number_within(value: JsonValue, default: float, what: str, low: float, high: float) -> float:
    """Raises ValueError that names `what`."""
    if value is None:
        return default
    number = as_number(value)
    if number is None or not low <= number <= high:
        raise ValueError(f"{what} is {value!r}; take a number from {low:g} to {high:g}")
    return number


def ranking_tags(replies: int) -> tuple[tuple[str, str], ...]:
    """Of the pairs of a ranking of so many replies, which count as parts of a label; one pair is no ranking."""
    return ((RANKED, str(replies)),) if replies > _PAIR else ()


def picked_tags(replies: int) -> tuple[tuple[str, str], ...]:
    """Of the pairs by which one of so many replies was named the best."""
    return ((PICKED, str(replies)),) if replies > _PAIR else ()


def one_question(row: PreferenceRow) -> bool:
    """Whether the prompt is one turn of the user's, which a plain text can hold."""
    return len(row.prompt) == 1 and row.prompt[0].role == "user"

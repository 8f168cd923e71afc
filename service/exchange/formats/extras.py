"""Our rows beside the answers of a labelling tool's record, in the free mapping that its tasks carry along.

A tool knows who picked what; the belief, the weight, and that several people's answers are one row, it does not. So a
record that we write says them too, and an answer that still is what it was then comes back as the row that it was. Any
other answer is a new one: of the record's people who changed their minds, of others, of another program's file.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import to_json

from judges.records import Conversation
from service.exchange.cells import list_of, mapping_of
from service.exchange.formats import charter
from service.exchange.formats.pair import Pair, as_number, tag_number
from service.exchange.messages import as_json
from training.ranked import labels_in
from training.rows import PreferenceRow, said_object

# The tag of a row whose labeller saw both replies in a known order: first or second.
CHOSEN_SHOWN = "chosen_shown"
_KEY = "charter_rows"
# The tags of an answer's row that keep the tool's record: its id, its free mapping, and data beside prompt and replies.
RECORD_ID, RECORD_META, RECORD_DATA = "record_id", "record_meta", "record_data"
_SCORE = "score"
Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody says of two replies. A person's belief is 1, or one half for a tie.

    `first` says whether the chosen reply stood first of two; None where there is no order, or no winner. `part` are the
    tags that say of how many replies the ranking or the choice is that this is a part of. `score` is a machine's number
    that is no belief, as text.
    """

    chosen: str
    rejected: str
    belief: float
    who: str
    machine: bool
    first: bool | None
    part: tuple[tuple[str, str], ...] = ()
    score: str = ""


@dataclass(frozen=True, slots=True)
class MachineScore:
    """The belief that a machine's score is, or 1 and the score as text where it is none."""

    belief: float
    score: str = ""


def machine_score(value: JsonValue, what: str) -> MachineScore:
    """From one half to 1 it is the belief in the answer that it stands beside; any other number says only how sure a
    program of its own scale is. Raises ValueError for what is no number.
    """
    number = 1.0 if value is None else as_number(value)
    if number is None:
        raise ValueError(f"{what} is {value!r}; take a number")
    return MachineScore(number) if 0.5 <= number <= 1 else MachineScore(1.0, repr(number))


def score_of(row: PreferenceRow) -> float:
    """What a machine's row writes: its belief, or the score that it came with."""
    score = tag_number(row, _SCORE) if row.p_chosen == 1 else None
    return row.p_chosen if score is None or 0.5 <= score <= 1 else score


def write_extras(rows: Iterable[PreferenceRow]) -> dict[str, JsonValue]:
    """All of each row but its texts, of which a digest is there. JSON texts: Argilla's metadata hold lists of those."""
    return {_KEY: [_written(row) for row in rows]}


def record_tags(id: JsonValue, free: JsonValue, data: Mapping[str, JsonValue]) -> Tags:
    """What a tool's record says beside its answers, so that it comes out as the same one; empty parts make no tag.

    The id of a row of ours is no id of the tool's.
    """
    given = mapping_of(free) or {}
    ours = {(mapping_of(entry) or {}).get("id") for entry in list_of(given.get(_KEY))}
    meta = {name: value for name, value in given.items() if name != _KEY}
    kept: tuple[tuple[str, JsonValue], ...] = ((RECORD_META, meta), (RECORD_DATA, dict(data)))
    named = ((RECORD_ID, str(id)),) if isinstance(id, str | int) and id != "" and id not in ours else ()
    return (*named, *((name, to_json(value).decode()) for name, value in kept if value))


def of_record(rows: Iterable[PreferenceRow], name: str) -> dict[str, JsonValue]:
    """What the tag of that name keeps, of the first row that has it."""
    texts = (dict(row.tags).get(name) for row in rows)
    return next((found for text in texts if text and (found := mapping_of(text))), {})


def record_id(rows: Iterable[PreferenceRow]) -> str | None:
    """None where the rows came from no record of a tool."""
    return next((id for row in rows if (id := dict(row.tags).get(RECORD_ID))), None)


def came_from(row: PreferenceRow) -> str:
    """What tells the tool's record of the row from others: its id, else what else it held. Empty for a row of ours."""
    kept = dict(row.tags)
    return kept.get(RECORD_ID) or kept.get(RECORD_META, "") + kept.get(RECORD_DATA, "")


def rows_of_answers(
    prompt: Conversation, answers: Iterable[Answer], extras: JsonValue, what: str, record: Tags = ()
) -> Iterator[PreferenceRow | Pair]:
    """The rows that the answers still are, and a pair for each other answer, with the tags of its record.

    Raises ValueError and RowError.
    """
    left = list(answers)
    entries = list_of((mapping_of(extras) or {}).get(_KEY))
    texts = _texts_by_digest(prompt, left) if entries else {}
    named: set[str] = set()
    for place, entry in enumerate(entries):
        row = _row_of(prompt, texts, entry, f"{what}.{_KEY}[{place}]")
        if row is not None:
            named.update(row.annotators)
            found = [next((one for one in left if _says(one, row, who)), None) for who in voices_of(row)]
            given = [one for one in found if one is not None]
            if len(given) == len(found):
                left = [one for one in left if not any(one is taken for taken in given)]
                yield row
    for answer in left:
        yield _new(prompt, answer, record, sides_known=answer.who not in named)


def voices_of(row: PreferenceRow) -> tuple[str, ...]:
    """Whose answers the row is: its people, each once, or its judge. Nobody's name is empty."""
    return tuple(dict.fromkeys(row.annotators or ("",))) if row.source == "human" else (row.judge,)


def chosen_second(row: PreferenceRow) -> bool:
    """Whether the labeller saw the rejected reply first. Of a tie neither is better, and they stand as they are."""
    return row.p_chosen != 0.5 and dict(row.tags).get(CHOSEN_SHOWN) == "second"


def _written(row: PreferenceRow) -> str:
    digest = _pair_digest(row.prompt, row.chosen, row.rejected)
    return to_json({"pair": digest, "id": row.id, "prompt_id": row.prompt_id, **said_object(row)}).decode()


def _texts_by_digest(prompt: Conversation, answers: Iterable[Answer]) -> dict[str, tuple[str, str]]:
    pairs = {both for one in answers for both in ((one.chosen, one.rejected), (one.rejected, one.chosen))}
    return {_pair_digest(prompt, *both): both for both in pairs}


def _row_of(
    prompt: Conversation, texts: Mapping[str, tuple[str, str]], entry: JsonValue, what: str
) -> PreferenceRow | None:
    """None where no answer is on the entry's two replies: the texts were changed."""
    kept = mapping_of(entry)
    if kept is None or not isinstance(digest := kept.get("pair"), str):
        raise ValueError(f"{what} is no row of ours; remove it, and its answers count as new ones")
    if digest not in texts:
        return None
    chosen, rejected = texts[digest]
    return charter.read(kept | {"prompt": as_json(prompt), "chosen": chosen, "rejected": rejected}, what)


def _says(answer: Answer, row: PreferenceRow, who: str) -> bool:
    """Whether it is the one that was written for this voice of the row."""
    person = row.source == "human"
    tie = row.p_chosen == 0.5
    return (
        (answer.who, answer.machine) == (who, not person)
        and (answer.belief == 0.5) == tie
        and (tie or answer.chosen == row.chosen)
        and {answer.chosen, answer.rejected} == {row.chosen, row.rejected}
        and (person or answer.belief == row.p_chosen)
    )


def _new(prompt: Conversation, answer: Answer, record: Tags, *, sides_known: bool) -> Pair:
    place = "first" if answer.first else "second"
    own = ((CHOSEN_SHOWN, place),) if sides_known and answer.first is not None else answer.part
    # A record of more than two replies comes out as several, which cannot all have its id.
    kept = tuple(tag for tag in record if tag[0] != RECORD_ID) if answer.part else record
    return Pair(
        prompt,
        answer.chosen,
        answer.rejected,
        answer.belief,
        labels_in(answer.part),
        annotators=() if answer.machine or not answer.who else (answer.who,),
        source="ai" if answer.machine else "human",
        judge=answer.who if answer.machine else "",
        tags=(*own, *(((_SCORE, answer.score),) if answer.score else ()), *kept),
        notices=("no_belief",) if answer.score else (),
    )


def _pair_digest(prompt: Conversation, chosen: str, rejected: str) -> str:
    return hashlib.sha256(to_json([as_json(prompt), chosen, rejected])).hexdigest()[:16]

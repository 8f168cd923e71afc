"""Rows as records of a labelling tool: of one pair, all answers that one record can hold."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from service.exchange.formats.extras import came_from, voices_of
from training.rows import PreferenceRow

Voice = Callable[[PreferenceRow, str], Hashable]


def pair_records(rows: Iterable[PreferenceRow], voice: Voice) -> Iterator[Sequence[PreferenceRow]]:
    """The rows of each record: on the same prompt and two replies, and no voice twice; a person answers a task once.

    Rows of two records of a tool never share one.
    """
    pairs: dict[Hashable, list[PreferenceRow]] = {}
    for row in rows:
        pairs.setdefault((row.prompt, frozenset((row.chosen, row.rejected))), []).append(row)
    for pair in pairs.values():
        yield from [pair] if len(pair) == 1 else _records_of_pair(pair, voice)


@dataclass(slots=True)
class _Record:
    """`origin` is empty while no row of a tool's record is in it."""

    origin: str = ""
    rows: list[PreferenceRow] = field(default_factory=list)
    heard: set[Hashable] = field(default_factory=set)

    def has_room(self, origin: str, voices: set[Hashable]) -> bool:
        return voices.isdisjoint(self.heard) and (not origin or not self.origin or origin == self.origin)


def _records_of_pair(rows: Sequence[PreferenceRow], voice: Voice) -> list[list[PreferenceRow]]:
    """Each row in the first record that has room for it."""
    records: list[_Record] = []
    for row in rows:
        origin = came_from(row)
        own: set[Hashable] = {voice(row, who) for who in voices_of(row) if who or row.source != "human"}
        record = next((one for one in records if one.has_room(origin, own)), None)
        if record is None:
            records.append(record := _Record())
        record.origin = record.origin or origin
        record.rows.append(row)
        record.heard |= own
    return [record.rows for record in records]

"""Rows as records of a labelling tool: of one pair, all answers that one record can hold."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from service.exchange.formats.extras import voices_of
from training.rows import PreferenceRow

Voice = Callable[[PreferenceRow, str], Hashable]


def pair_records(rows: Iterable[PreferenceRow], voice: Voice) -> Iterator[Sequence[PreferenceRow]]:
    """The rows of each record: on the same prompt and two replies, and no voice twice; a person answers a task once."""
    pairs: dict[Hashable, list[PreferenceRow]] = {}
    for row in rows:
        pairs.setdefault((row.prompt, frozenset((row.chosen, row.rejected))), []).append(row)
    for pair in pairs.values():
        yield from [pair] if len(pair) == 1 else _records_of_pair(pair, voice)


def _records_of_pair(rows: Sequence[PreferenceRow], voice: Voice) -> list[list[PreferenceRow]]:
    """Each row in the first record that has room for it."""
    records: list[tuple[list[PreferenceRow], set[Hashable]]] = []
    for row in rows:
        own = {voice(row, who) for who in voices_of(row) if who or row.source != "human"}
        held, heard = next((record for record in records if own.isdisjoint(record[1])), ([], set()))
        if not held:
            records.append((held, heard))
        held.append(row)
        heard |= own
    return [held for held, _ in records]

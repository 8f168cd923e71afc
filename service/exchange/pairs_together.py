"""A set's rows in batches that do not part the rows on one pair, for formats that write these as one line."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from service.preference_rows import PAIR_COLUMNS, PreferenceRows, pair_hashes
from training.rows import PreferenceRow

Hashes = npt.NDArray[np.int64]
# Of rows of a usual size, some 30 MB.
MOST_WAITING = 20_000


def pairs_together(stored: PreferenceRows, most_waiting: int = MOST_WAITING) -> Iterator[tuple[PreferenceRow, ...]]:
    """All rows, each pair's with the last of them.

    Where more than `most_waiting` rows wait for another, those go as they are: their pairs are several lines then.
    """
    hash_N = np.fromiter(_pair_hashes(stored), np.int64, stored.rows)
    hash_P, left_P = _repeated(hash_N)
    waiting: defaultdict[int, list[PreferenceRow]] = defaultdict(list)
    number = 0
    for batch in stored.batches():
        ready: list[PreferenceRow] = []
        for row, pair in zip(batch, _places(hash_P, hash_N[number : number + len(batch)]), strict=True):
            if pair is None:
                ready.append(row)
                continue
            left_P[pair] -= 1
            if left_P[pair]:
                waiting[pair].append(row)
            else:
                ready += [*waiting.pop(pair, ()), row]
        number += len(batch)
        if sum(map(len, waiting.values())) > most_waiting:
            ready += [row for rows in waiting.values() for row in rows]
            waiting.clear()
        yield tuple(ready)


def _pair_hashes(stored: PreferenceRows) -> Iterator[int]:
    """The same for rows on one pair. Eight bytes a row are kept of them."""
    for batch in stored.columns(PAIR_COLUMNS):
        yield from pair_hashes(batch)


def _repeated(hash_N: Hashes) -> tuple[Hashes, Hashes]:
    """Of the pairs with more rows than one the hashes, which rise, and how many rows each has."""
    sorted_N = np.sort(hash_N)
    again = sorted_N[1:][sorted_N[1:] == sorted_N[:-1]]
    hash_P, times_P = np.unique(again, return_counts=True)
    return hash_P, times_P.astype(np.int64) + 1


def _places(hash_P: Hashes, hash_B: Hashes) -> list[int | None]:
    """Of a batch's rows, where each one's pair stands among the repeated ones; None where it is not repeated."""
    if not len(hash_P):
        return [None] * len(hash_B)
    place_B = np.minimum(np.searchsorted(hash_P, hash_B), len(hash_P) - 1)
    found_B = hash_P[place_B] == hash_B
    return [place if found else None for place, found in zip(place_B.tolist(), found_B.tolist(), strict=True)]

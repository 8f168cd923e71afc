"""A set's rows in batches that do not part the rows on one pair, for formats that write these as one line."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from service.preference_rows import PreferenceRows
from training.rows import PreferenceRow

# Of rows of a usual size, some 30 MB.
MOST_WAITING = 20_000


def pairs_together(stored: PreferenceRows, most_waiting: int = MOST_WAITING) -> Iterator[tuple[PreferenceRow, ...]]:
    """All rows, each pair's with the last of them.

    Where more than `most_waiting` rows wait for another, those go as they are: their pairs are several lines then.
    """
    pair_N, left_P = _pairs(stored)
    waiting: defaultdict[int, list[PreferenceRow]] = defaultdict(list)
    number = 0
    for batch in stored.batches():
        ready: list[PreferenceRow] = []
        for row in batch:
            pair = int(pair_N[number])
            number += 1
            left_P[pair] -= 1
            if left_P[pair]:
                waiting[pair].append(row)
            else:
                ready += [*waiting.pop(pair, ()), row]
        if sum(map(len, waiting.values())) > most_waiting:
            ready += [row for rows in waiting.values() for row in rows]
            waiting.clear()
        yield tuple(ready)


def _pairs(stored: PreferenceRows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The number of each row's pair, and how many rows each pair has. Sixteen bytes a row."""
    hashes = [np.zeros(0, np.int64)]
    for batch in stored.columns(["prompt", "chosen", "rejected"]):
        cells = zip(*(batch.column(name).to_pylist() for name in batch.schema.names), strict=True)
        codes = (hash((prompt, *sorted(replies))) for prompt, *replies in cells)
        hashes.append(np.fromiter(codes, np.int64, batch.num_rows))
    _, pair_N, rows_P = np.unique(np.concatenate(hashes), return_inverse=True, return_counts=True)
    return pair_N.astype(np.int64), rows_P.astype(np.int64)

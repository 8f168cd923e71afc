"""Some pairs of a preference set, found in its Parquet file batch by batch: memory holds one batch, however many rows.

A page is told by the number of the row at which it begins, so that the next one goes on where this one ended.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.shards import records_of
from training.rows import PreferenceRow, Source

# Below this belief a pair is shown as unsure: three of five judges, so to speak.
UNSURE_BELOW = 0.6
_BATCH_ROWS = 1000
# A search through more is continued by the reader: nobody waits for a million rows at once.
MOST_SEARCHED = 100_000


@dataclass(frozen=True, slots=True)
class PairFilter:
    """Which pairs: all conditions that are given must hold. `text` is looked for in the prompt and both replies."""

    source: Source | None = None
    principle_id: str = ""
    unsure: bool = False
    text: str = ""

    @property
    def is_empty(self) -> bool:
        return self == PairFilter()


@dataclass(frozen=True, slots=True)
class NumberedPair:
    """A pair and its place in the set, from 0."""

    number: int
    row: PreferenceRow


@dataclass(frozen=True, slots=True)
class PairPage:
    """`next` is the row at which the search goes on, None at the end of the set; `searched` the rows looked at."""

    pairs: tuple[NumberedPair, ...]
    next: int | None
    searched: int


def find_pairs(
    file: BinaryIO, wanted: PairFilter, begin: int, limit: int, most_searched: int = MOST_SEARCHED
) -> PairPage:
    """The first `limit` pairs from row `begin` on that are wanted."""
    parquet = pq.ParquetFile(file)
    found: list[NumberedPair] = []
    searched = 0
    for first, batch in _batches(parquet, begin):
        places = pc.indices_nonzero(_wanted(batch, wanted)).to_pylist()
        rows = records_of(batch.take(pa.array(places[: limit - len(found)], pa.int64())), PreferenceRow)
        found += [NumberedPair(first + place, row) for place, row in zip(places, rows, strict=False)]
        if len(found) == limit:
            end = found[-1].number + 1
            return PairPage(tuple(found), end if end < parquet.metadata.num_rows else None, end - begin)
        searched += batch.num_rows
        if searched >= most_searched and begin + searched < parquet.metadata.num_rows:
            return PairPage(tuple(found), begin + searched, searched)
    return PairPage(tuple(found), None, searched)


def _batches(parquet: pq.ParquetFile, begin: int) -> Iterator[tuple[int, pa.Table]]:
    """The number of each batch's first row, and the batch. Whole groups of rows before `begin` are not read."""
    number = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if number + rows <= begin:
            number += rows
            continue
        for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group]):
            before = max(0, begin - number)
            if before < batch.num_rows:
                yield number + before, pa.Table.from_batches([batch.slice(before)])
            number += batch.num_rows


def _wanted(batch: pa.Table, wanted: PairFilter) -> pa.Array:
    mask = pa.array([True] * batch.num_rows)
    if wanted.source is not None:
        mask = pc.and_(mask, pc.equal(batch["source"], wanted.source))
    if wanted.unsure:
        mask = pc.and_(mask, pc.less(batch["p_chosen"], UNSURE_BELOW))
    if wanted.principle_id:
        answered = pc.match_substring(batch["per_principle"], f"[{_quoted(wanted.principle_id)},")
        mask = pc.and_(mask, answered)
    if wanted.text:
        places = [pc.match_substring(batch[name], wanted.text, ignore_case=True) for name in ("chosen", "rejected")]
        places.append(pc.match_substring(batch["prompt"], _quoted(wanted.text)[1:-1], ignore_case=True))
        mask = pc.and_(mask, pc.or_(pc.or_(places[0], places[1]), places[2]))
    return mask


def _quoted(text: str) -> str:
    """As it stands in a column of JSON."""
    return json.dumps(text, ensure_ascii=False)

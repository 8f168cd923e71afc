"""A stored preference set, read in parts: pages, filters, counts and all rows in order, however many there are.

Nothing here holds more than one batch of rows. It blocks: call it in a thread.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue, TypeAdapter

from service.errors import NotFound, ServiceError
from service.shards import ROWS_PER_GROUP, records_of
from training.ranked import RANKED, labels_in
from training.rows import PreferenceRow, Source

_ROWS_AT_ONCE = 1024
_NAMES = TypeAdapter(list[str])
_ANSWERS = TypeAdapter(list[tuple[str, float]])
_TAGS = TypeAdapter(list[tuple[str, str]])
# Most cells say by their text alone that no ranking is meant.
_RANKED = json.dumps(RANKED)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows: of one source, with an answer under one principle, with a belief at most `unsure` from one half."""

    source: Source | None = None
    principle: str | None = None
    unsure: float | None = None

    @property
    def columns(self) -> list[str]:
        """What must be read to decide."""
        named = (("source", self.source), ("per_principle", self.principle), ("p_chosen", self.unsure))
        return [column for column, asked in named if asked is not None]


@dataclass(frozen=True, slots=True)
class RowPage:
    rows: tuple[PreferenceRow, ...]
    has_more: bool


class PreferenceRows:
    """Open with the set's file. Raises ServiceError for a file that is no set of rows."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._file = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise ServiceError(f"the set's file cannot be read ({error}); import the set again") from error

    @property
    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    def batches(self) -> Iterator[tuple[PreferenceRow, ...]]:
        """All rows in their order."""
        for batch in self.stored():
            yield records_of(batch, PreferenceRow)

    def stored(self) -> Iterator[pa.RecordBatch]:
        """All rows in their order, as they are stored: see `service/shards.py`."""
        yield from self._file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False)

    def page(self, after: str | None, limit: int, wanted: RowFilter) -> RowPage:
        """The next rows after the one with the id `after`. Raises NotFound where no row has it.

        From the first page again, a client that follows `after` would never end.
        """
        places = self._places(after, limit + 1, wanted)
        return RowPage(self._rows_at(places[:limit]), len(places) > limit)

    def ties(self) -> int:
        """How many rows name no winner."""
        return sum(int(np.sum(_numbers(batch, "p_chosen") == 0.5)) for batch in self._columns(["p_chosen"]))

    def counts(self) -> dict[str, JsonValue]:
        """Rows, sources, prompts, annotators, ties, and the effective sample size (training/ranked.py)."""
        sources: Counter[str] = Counter()
        people: set[str] = set()
        # Eight bytes a row, where the ids of a million prompts would take a hundred million.
        hashes: list[npt.NDArray[np.int64]] = []
        ties, weight_sum, square_sum = 0, 0.0, 0.0
        for batch in self._columns(["prompt_id", "source", "annotators", "p_chosen", "weight", "tags"]):
            weight_N = _numbers(batch, "weight")
            sources.update(batch.column("source").to_pylist())
            people.update(batch.column("annotators").unique().to_pylist())
            ties += int(np.sum(_numbers(batch, "p_chosen") == 0.5))
            weight_sum += float(weight_N.sum())
            square_sum += float(np.sum(weight_N**2 / _labels_in(batch)))
            hashes.append(np.fromiter(map(hash, batch.column("prompt_id").to_pylist()), np.int64, batch.num_rows))
        return {
            "rows": self.rows,
            "human": sources["human"],
            "ai": sources["ai"],
            "check": sources["check"],
            "prompts": len(np.unique(np.concatenate(hashes))) if hashes else 0,
            "annotators": len({name for cell in people for name in _NAMES.validate_json(cell)}),
            "ties": ties,
            "effective_sample_size": weight_sum**2 / square_sum if square_sum else 0.0,
        }

    def _columns(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(batch_size=ROWS_PER_GROUP, columns=names)

    def _places(self, after: str | None, count: int, wanted: RowFilter) -> list[int]:
        """The numbers of the first `count` rows that are asked for."""
        columns = wanted.columns + ([] if after is None else ["id"])
        if not columns:
            return list(range(min(count, self.rows)))
        found: list[int] = []
        start, seen = 0, after is None
        for batch in self._columns(columns):
            matches_N = _matches(batch, wanted)
            if not seen:
                place = pc.index(batch.column("id"), after).as_py()
                seen = place >= 0
                matches_N[: place + 1 if seen else len(matches_N)] = False
            found += [start + int(place) for place in np.flatnonzero(matches_N)[: count - len(found)]]
            start += batch.num_rows
            if len(found) >= count:
                break
        if not seen:
            raise NotFound(f"after: there is no row {after!r} in this set")
        return found

    def _rows_at(self, places: list[int]) -> tuple[PreferenceRow, ...]:
        """The rows with these numbers, which rise: of the file, only their groups are read."""
        rows: list[PreferenceRow] = []
        start = 0
        for group in range(self._file.metadata.num_row_groups):
            end = start + self._file.metadata.row_group(group).num_rows
            if any(start <= place < end for place in places):
                for batch in self._file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group], use_threads=False):
                    here = [place - start for place in places if start <= place < start + batch.num_rows]
                    rows += records_of(batch.take(pa.array(here, pa.int64())), PreferenceRow) if here else ()
                    start += batch.num_rows
            start = end
        return tuple(rows)


def _matches(batch: pa.RecordBatch, wanted: RowFilter) -> npt.NDArray[np.bool_]:
    matches_N = np.ones(batch.num_rows, dtype=np.bool_)
    if wanted.source is not None:
        matches_N &= np.array([source == wanted.source for source in batch.column("source").to_pylist()], np.bool_)
    if wanted.unsure is not None:
        # Beliefs are decimal numbers: 0.6 is 0.1 from one half, though not to the last bit.
        matches_N &= np.round(_numbers(batch, "p_chosen") - 0.5, 12) <= wanted.unsure
    if wanted.principle is not None:
        cells = batch.column("per_principle").to_pylist()
        written = json.dumps(wanted.principle, ensure_ascii=False)
        # Most cells say so by their text alone.
        answers = [written in cell and _answers(cell, wanted.principle) for cell in cells]
        matches_N &= np.array(answers, np.bool_)
    return matches_N


def _answers(cell: str, principle: str) -> bool:
    """Whether the principle answered."""
    return any(id == principle for id, _ in _ANSWERS.validate_json(cell))


def _labels_in(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """What each row counts, beside one label on one pair."""
    cells = batch.column("tags").to_pylist()
    tagged = {cell: labels_in(_TAGS.validate_json(cell)) for cell in set(cells) if _RANKED in cell}
    return np.array([tagged.get(cell, 1.0) for cell in cells], np.float64)


def _numbers(batch: pa.RecordBatch, column: str) -> npt.NDArray[np.float64]:
    numbers_N: npt.NDArray[np.float64] = batch.column(column).to_numpy(zero_copy_only=False)
    return numbers_N

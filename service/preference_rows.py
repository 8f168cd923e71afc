"""A stored preference set, read in parts: pages, searches, counts and all rows in order, however many there are.

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
from service.shards import records_of
from training.ranked import PICKED, RANKED, labels_in
from training.rows import PreferenceRow, Source

_ROWS_AT_ONCE = 1024
# What says which pair a row is on: its prompt and its replies, whichever won.
PAIR_COLUMNS = ["prompt", "chosen", "rejected"]
_NAMES = TypeAdapter(list[str])
_TAGS = TypeAdapter(list[tuple[str, str]])
# Most cells say by their text alone that the row is an answer of its own.
_PARTS = tuple(map(json.dumps, (RANKED, PICKED)))


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows; all that is asked for must hold. `unsure`: a belief at most so far from one half.

    `principle` has an answer there; `text` stands in the prompt or in a reply, in capitals or not.
    """

    source: Source | None = None
    principle: str | None = None
    unsure: float | None = None
    text: str | None = None

    @property
    def columns(self) -> list[str]:
        """What must be read to decide."""
        named = (("source", self.source), ("per_principle", self.principle), ("p_chosen", self.unsure))
        texts = () if self.text is None else ("prompt", "chosen", "rejected")
        return [*(column for column, asked in named if asked is not None), *texts]


@dataclass(frozen=True, slots=True)
class RowPage:
    rows: tuple[PreferenceRow, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class NumberedRow:
    """A row and its place in the set, from 0."""

    number: int
    row: PreferenceRow


@dataclass(frozen=True, slots=True)
class Found:
    """`next` is the row at which the search goes on, None at the end of the set; `searched` the rows looked at."""

    pairs: tuple[NumberedRow, ...]
    next: int | None
    searched: int


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
        begin = 0 if after is None else self._place_of(after) + 1
        places, _ = self._places(wanted, begin, limit + 1)
        return RowPage(self._rows_at(places[:limit]), len(places) > limit)

    def search(self, wanted: RowFilter, begin: int, limit: int, most_searched: int) -> Found:
        """The first rows from number `begin` on, of `most_searched` rows or few more: a reader continues it."""
        places, end = self._places(wanted, begin, limit, begin + most_searched)
        rows = self._rows_at(places)
        pairs = tuple(NumberedRow(place, row) for place, row in zip(places, rows, strict=True))
        return Found(pairs, end if end < self.rows else None, max(0, end - begin))

    def ties(self) -> int:
        """How many rows name no winner."""
        return sum(int(np.sum(_numbers(batch, "p_chosen") == 0.5)) for batch in self.columns(["p_chosen"]))

    def counts(self) -> dict[str, JsonValue]:
        """Rows, sources, prompts, annotators, ties, and the effective sample size (training/ranked.py)."""
        sources: Counter[str] = Counter()
        people: set[str] = set()
        # Eight bytes a row, where the ids of a million prompts would take a hundred million.
        hashes: list[npt.NDArray[np.int64]] = []
        ties, weight_sum, square_sum = 0, 0.0, 0.0
        for batch in self.columns(["prompt_id", "source", "annotators", "p_chosen", "weight", "tags"]):
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

    def columns(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """These columns of all rows in their order."""
        for _, batch in self._from(0, names):
            yield batch

    def _from(self, begin: int, names: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The number of each batch's first row, and the batch. Groups of rows before `begin` are not read."""
        number = 0
        for group in range(self._file.metadata.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if number + rows <= begin:
                number += rows
                continue
            for batch in self._file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=names, use_threads=False):
                before = max(0, begin - number)
                if before < batch.num_rows:
                    yield number + before, batch.slice(before)
                number += batch.num_rows

    def _place_of(self, id: str) -> int:
        for start, batch in self._from(0, ["id"]):
            place = pc.index(batch.column("id"), id).as_py()
            if place >= 0:
                return int(start + place)
        raise NotFound(f"after: there is no row {id!r} in this set")

    def _places(self, wanted: RowFilter, begin: int, count: int, stop: int | None = None) -> tuple[list[int], int]:
        """The numbers of the first `count` rows from `begin` on that are asked for, and the row after the last one.

        A search that comes to row `stop` without so many ends with the batch there.
        """
        if not wanted.columns:
            end = max(begin, min(begin + count, self.rows))
            return list(range(begin, end)), end
        found: list[int] = []
        end = begin
        for start, batch in self._from(begin, wanted.columns):
            matches = np.flatnonzero(_matches(batch, wanted))[: count - len(found)]
            found += [start + int(place) for place in matches]
            if len(found) == count:
                return found, found[-1] + 1
            end = start + batch.num_rows
            if stop is not None and end >= stop:
                break
        return found, end

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


def pair_hashes(batch: pa.RecordBatch) -> list[int]:
    """Of a batch with `PAIR_COLUMNS`, of each row a number that is the same for rows on one pair, in this process."""
    cells = zip(*(batch.column(name).to_pylist() for name in PAIR_COLUMNS), strict=True)
    return [hash((prompt, *sorted(replies))) for prompt, *replies in cells]


def unsure_rows(batch: pa.RecordBatch, within: float) -> npt.NDArray[np.bool_]:
    """True where the belief is at most `within` from one half."""
    # Beliefs are decimal numbers: 0.6 is 0.1 from one half, though not to the last bit.
    unsure_N: npt.NDArray[np.bool_] = np.round(_numbers(batch, "p_chosen") - 0.5, 12) <= within
    return unsure_N


def _matches(batch: pa.RecordBatch, wanted: RowFilter) -> npt.NDArray[np.bool_]:
    masks = [np.ones(batch.num_rows, dtype=np.bool_)]
    if wanted.source is not None:
        masks.append(_mask(pc.equal(batch.column("source"), wanted.source)))
    if wanted.unsure is not None:
        masks.append(unsure_rows(batch, wanted.unsure))
    if wanted.principle is not None:
        # Its list begins so; inside a name the quotation mark would have a backslash.
        masks.append(_mask(pc.match_substring(batch.column("per_principle"), f"[{_quoted(wanted.principle)},")))
    if wanted.text is not None:
        masks.append(_has_text(batch, wanted.text))
    matches_N: npt.NDArray[np.bool_] = np.logical_and.reduce(masks)
    return matches_N


def _has_text(batch: pa.RecordBatch, text: str) -> npt.NDArray[np.bool_]:
    sought = {"prompt": _quoted(text)[1:-1], "chosen": text, "rejected": text}
    prompt, *replies = (pc.match_substring(batch.column(name), sought[name], ignore_case=True) for name in sought)
    found_N = _mask(pc.or_(*replies))
    # A prompt is JSON, whose keys and roles nobody looks for.
    for place in np.flatnonzero(_mask(prompt) & ~found_N).tolist():
        turns = json.loads(batch.column("prompt")[place].as_py())
        found_N[place] = any(text.casefold() in turn["content"].casefold() for turn in turns)
    return found_N


def _mask(matches: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    mask_N: npt.NDArray[np.bool_] = np.array(matches.to_numpy(zero_copy_only=False))
    return mask_N


def _quoted(text: str) -> str:
    """As it stands in a column of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _labels_in(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """What each row counts, beside one label on one pair."""
    cells = batch.column("tags").to_pylist()
    tagged = {cell: labels_in(_TAGS.validate_json(cell)) for cell in set(cells) if any(tag in cell for tag in _PARTS)}
    return np.array([tagged.get(cell, 1.0) for cell in cells], np.float64)


def _numbers(batch: pa.RecordBatch, column: str) -> npt.NDArray[np.float64]:
    numbers_N: npt.NDArray[np.float64] = batch.column(column).to_numpy(zero_copy_only=False)
    return numbers_N

"""Preference sets in and out, whatever the format: a row for each pair, and each fault with its line.

Loose in, strict out. A row that lacks its belief is taken as 1.0. What a format cannot hold is not bent into it: see
`holds`. The formats are in `formats/`, files and tables in `records.py` and `export.py`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.errors import InvalidInput
from service.exchange.cells import parsed_row
from service.exchange.formats import charter
from service.exchange.formats.pair import Pair
from service.exchange.formats.registry import LAYOUTS, Format, sniff_format
from service.exchange.messages import as_json
from service.exchange.records import BrokenLine, Line, is_csv, refuse, scan_lines
from training.errors import RowError
from training.rows import PreferenceRow, conversation_id, row_to_json


@dataclass(frozen=True, slots=True)
class PreferenceFile:
    """A file's bytes and what is known of them; without a format it is told by the first line.

    `origin` stands in each row, so that a person finds where it came from.
    """

    data: bytes
    filename: str
    content_type: str
    format: Format | None
    origin: str


def read_preferences(
    data: bytes, filename: str, content_type: str, format: Format | None, origin: str
) -> list[PreferenceRow]:
    """All rows of a file, or InvalidInput with every fault."""
    read = list(scan_preferences(PreferenceFile(data, filename, content_type, format, origin)))
    refuse([one.problem for one in read if isinstance(one, BrokenLine)])
    rows = [one for one in read if isinstance(one, PreferenceRow)]
    if not rows:
        raise InvalidInput("no row holds a submitted answer; nothing was stored")
    return rows


def scan_preferences(file: PreferenceFile) -> Iterator[PreferenceRow | BrokenLine]:
    """The rows one by one, twins once, and the lines that hold none. Raises InvalidInput for a file of no format.

    Our own format says itself where a row comes from; two rows of it with one id are a fault.
    """
    cells = is_csv(file.data, file.filename, file.content_type)
    format, seen, empty = file.format, dict[bytes, bytes](), True
    for line in scan_lines(file.data, file.filename, file.content_type):
        empty = False
        if isinstance(line, BrokenLine):
            yield line
            continue
        line = replace(line, value=parsed_row(line.value)) if cells else line
        format = format or sniff_format(line)
        try:
            rows = list(_rows_of(line, format, file.origin))
            for row in rows:
                # Their hashes, not the rows: a set of millions stays small.
                whole = _digest(row_to_json(row)) if format == "charter" else b""
                if seen.get(_digest(row.id), whole) != whole:
                    raise ValueError(f"the id {row.id!r} stands on another row already; give each its own")
        except ValueError as error:
            yield BrokenLine(line.place, str(error))
            continue
        except RowError as error:  # it names the line itself
            yield BrokenLine(line.place, str(error).removeprefix(f"{line.place}: "))
            continue
        for row in rows:
            id = _digest(row.id)
            if id not in seen:
                seen[id] = _digest(row_to_json(row)) if format == "charter" else b""
                yield row
    if empty:
        raise InvalidInput("there are no rows; write one JSON object a line")


def holds(format: Format, row: PreferenceRow) -> bool:
    """Whether the format can hold the row's texts and its winner; only ours holds beliefs, weights and sources."""
    return LAYOUTS[format].holds(row)


def write_preferences(rows: Sequence[PreferenceRow], format: Format) -> Iterator[str]:
    """One JSON line for each row that the format holds."""
    layout = LAYOUTS[format]
    for row in rows:
        if layout.holds(row):
            yield json.dumps(layout.write(row), ensure_ascii=False, allow_nan=False) + "\n"


def human_row(pair: Pair, origin: str) -> PreferenceRow:
    """A person's pair as a row."""
    return row_of_pair(pair, origin)


def row_of_pair(pair: Pair, origin: str) -> PreferenceRow:
    """A pair as a row; its id is a hash of what was said and by whom, so an upload twice over adds nothing."""
    if pair.chosen == pair.rejected:
        raise ValueError("chosen and rejected are the same text")
    who: list[str] = list(pair.annotators) if pair.source == "human" else [pair.source, pair.judge]
    matter = json.dumps([as_json(pair.prompt), pair.chosen, pair.rejected, who], ensure_ascii=False)
    return PreferenceRow(
        id=("h" if pair.source == "human" else "m") + hashlib.sha256(matter.encode()).hexdigest()[:24],
        prompt_id=conversation_id(pair.prompt),
        prompt=pair.prompt,
        chosen=pair.chosen,
        rejected=pair.rejected,
        p_chosen=pair.p_chosen,
        weight=pair.weight,
        source=pair.source,
        judge=pair.judge,
        annotators=pair.annotators,
        per_principle=pair.per_principle,
        origin=origin,
        tags=pair.tags,
    )


def _rows_of(line: Line, format: Format, origin: str) -> Iterator[PreferenceRow]:
    if format == "charter":
        yield charter.read(line.value, line.place)
        return
    for pair in LAYOUTS[format].read(line.value):
        yield row_of_pair(pair, f"{origin}, {line.place}")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()

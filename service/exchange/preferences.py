"""Preference sets in and out, whatever the format: a row for each pair, and each fault with its line.

Loose in, strict out. A row that lacks its belief is taken as 1.0. What a format cannot hold is not bent into it: see
`holds`. The formats are in `formats/`, files and tables in `records.py` and `export.py`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic_core import to_json

from service.errors import InvalidInput
from service.exchange.cells import parsed_row
from service.exchange.formats import charter
from service.exchange.formats.pair import Pair
from service.exchange.formats.registry import LAYOUTS, Format, sniff_format
from service.exchange.messages import as_json
from service.exchange.notices import Notice, Noticed
from service.exchange.records import BrokenLine, Line, RepeatedRow, is_csv, refuse, scan_lines
from training.errors import RowError
from training.rows import PreferenceRow, conversation_id, row_object

# Of so many first lines one tells the format, or the file has none.
_LOOKED_AT = 100
_MATTER_BITS = 128
_MATTER = (1 << _MATTER_BITS) - 1


@dataclass(frozen=True, slots=True)
class PreferenceFile:
    """A file's bytes and what is known of them; without a format it is told by the first line that has one.

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


def scan_preferences(file: PreferenceFile) -> Iterator[PreferenceRow | BrokenLine | RepeatedRow | Noticed]:
    """The rows one by one, what is no row, and what there is to say. Raises InvalidInput for a file of no format.

    Our own rows say themselves where they come from; two of them with one id are a fault.
    """
    cells = is_csv(file.data, file.filename, file.content_type)
    format, seen, empty, unknown = file.format, _Seen(), True, 0
    for line in scan_lines(file.data, file.filename, file.content_type):
        empty = False
        if isinstance(line, BrokenLine):
            yield line
            continue
        try:
            line = replace(line, value=parsed_row(line.value)) if cells else line
            format = format or sniff_format(line)
            rows = list(_rows_of(line, format, file.origin))
            for row in rows:
                seen.refuse_other(row)
        except ValueError as error:
            unknown += format is None
            if unknown == _LOOKED_AT:
                raise InvalidInput(
                    f"{line.place}: {error}; so it is on the lines before; nothing was stored"
                ) from error
            yield BrokenLine(line.place, str(error))
            continue
        except RowError as error:  # it names the line itself
            yield BrokenLine(line.place, str(error).removeprefix(f"{line.place}: "))
            continue
        if not rows:
            yield Noticed(line.place, "unanswered")
        yield from (Noticed(line.place, said) for said in dict.fromkeys(one for row in rows for one in row.notices))
        for row in rows:
            yield from seen.noticed(row, line)
            yield seen.repeated(row, line) or row.row
    if empty:
        raise InvalidInput("there are no rows; write one JSON object a line")


def holds(format: Format, row: PreferenceRow) -> bool:
    """Whether the format can hold the row's texts and its winner; what else it keeps stands in docs/exchange.md."""
    return LAYOUTS[format].holds(row)


def write_preferences(rows: Sequence[PreferenceRow], format: Format) -> Iterator[str]:
    """The JSON lines of the rows that the format holds."""
    layout = LAYOUTS[format]
    for line in layout.write(filter(layout.holds, rows)):
        yield json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def human_row(pair: Pair, origin: str) -> PreferenceRow:
    """A person's pair as a row."""
    return row_of_pair(pair, origin)


def row_of_pair(pair: Pair, origin: str) -> PreferenceRow:
    """A pair as a row; its id is a hash of what was said and by whom, so an upload twice over adds nothing."""
    if pair.chosen == pair.rejected:
        raise ValueError("chosen and rejected are the same text")
    return PreferenceRow(
        id=_id(pair),
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


def _id(pair: Pair) -> str:
    who: list[str] = list(pair.annotators) if pair.source == "human" else [pair.source, pair.judge]
    matter = json.dumps([as_json(pair.prompt), pair.chosen, pair.rejected, who], ensure_ascii=False)
    return ("h" if pair.source == "human" else "m") + hashlib.sha256(matter.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class _Read:
    """A row of a line. `own`: the line gave it as one of ours, with its id. Rows of one `matter` are the same.

    `contrary` is the id of the row by which nobody's name says the opposite; empty where the row has a name or no
    winner. `notices` are of its line.
    """

    row: PreferenceRow
    own: bool
    matter: int
    contrary: str = ""
    notices: tuple[Notice, ...] = ()


class _Seen:
    """The rows so far: of each one integer, of its line and its matter: a set of millions stays small."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}

    def refuse_other(self, read: _Read) -> None:
        """Raises ValueError for a row of ours whose id another one has."""
        known = self._first.get(_digest(read.row.id)) if read.own else None
        if known is not None and known & _MATTER != read.matter:
            raise ValueError(f"the id {read.row.id!r} stands on another row already; give each its own")

    def noticed(self, read: _Read, line: Line) -> Iterator[Noticed]:
        """Rows of nobody's name beside an earlier one: of one person or of two, nobody can tell."""
        if read.contrary and _digest(read.row.id) in self._first:
            yield Noticed(line.place, "agrees_unnamed")
        elif read.contrary and _digest(read.contrary) in self._first:
            yield Noticed(line.place, "contradicts_unnamed")

    def repeated(self, read: _Read, line: Line) -> RepeatedRow | None:
        """None for the first of its id, which is remembered."""
        id = _digest(read.row.id)
        known = self._first.get(id)
        if known is None:
            self._first[id] = line.number << _MATTER_BITS | read.matter
            return None
        first = replace(line, number=known >> _MATTER_BITS)
        return RepeatedRow(line.place, first.place, same=known & _MATTER == read.matter)


def _rows_of(line: Line, format: Format, origin: str) -> Iterator[_Read]:
    given = [charter.read(line.value, line.place)] if format == "charter" else LAYOUTS[format].read(line.value)
    for one in given:
        if isinstance(one, PreferenceRow):
            yield _Read(one, True, _number(to_json(row_object(one))))
        else:
            row = row_of_pair(one, f"{origin}, {line.place}")
            # Its id says all the rest, and its origin only on which line it stands.
            said = (row.p_chosen, row.weight, row.per_principle, row.tags)
            unnamed = row.source == "human" and not row.annotators and row.p_chosen != 0.5
            contrary = _id(replace(one, chosen=one.rejected, rejected=one.chosen)) if unnamed else ""
            yield _Read(row, False, _number(repr(said).encode()), contrary, one.notices)


def _number(matter: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(matter, digest_size=16).digest(), "big")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()

"""A file of preferences into a set's file, row by row: neither the rows nor their lines are held all at once."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import JsonValue

from service.errors import InvalidInput
from service.exchange.notices import Noticed, Notices
from service.exchange.preferences import PreferenceFile, scan_preferences
from service.exchange.records import BrokenLine, RepeatedRow, refuse
from service.preference_rows import PreferenceRows
from service.shards import ROWS_PER_GROUP, record_schema, table_of
from service.store.records import DEMONSTRATIONS_KIND, JsonObject
from training.rows import PreferenceRow

# Of the lines that were left out, the report names the first.
_NAMED = 1000
_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """`report` has the set's counts, the rows that stood in the file before, what was noticed, and what was skipped.

    A set whose rows all have an empty rejected reply is one of demonstrations.
    """

    rows: int
    kind: str
    sha256: str
    report: JsonObject


def import_preferences(file: PreferenceFile, into: Path, *, skip_broken: bool) -> Imported:
    """Write the set's file. Raises InvalidInput with every broken line, unless those may be skipped."""
    broken: list[str] = []
    repeated: list[str] = []
    notices = Notices()
    replies = _Replies()
    write_preference_rows(into, replies.counted(_whole(_rest(scan_preferences(file), notices), broken, repeated)))
    if not skip_broken:
        refuse(broken, "; mend the file, or leave such lines out (skip_broken)")
    with into.open("rb") as written:
        report: JsonObject = PreferenceRows(written).counts()
    rows = int(str(report["rows"]))
    if not rows:
        refuse(broken)
        raise InvalidInput("no row holds a submitted answer; nothing was stored")
    report |= notices.report()
    report |= {"repeated_rows": len(repeated), "repeated": list[JsonValue](repeated[:_NAMED])}
    if skip_broken:
        report |= {"skipped_lines": len(broken), "skipped": list[JsonValue](broken[:_NAMED])}
    people = "human" if report["human"] == rows else "mixed"
    return Imported(rows, people if replies.two else DEMONSTRATIONS_KIND, sha256_of(into), report)


def write_preference_rows(path: Path, rows: Iterable[PreferenceRow]) -> None:
    """A set's file: the same rows give the same bytes as `to_parquet`."""
    with pq.ParquetWriter(path, record_schema(PreferenceRow), compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(table_of(group, PreferenceRow))


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_BYTES_AT_ONCE):
            digest.update(data)
    return digest.hexdigest()


def _rest(
    read: Iterable[PreferenceRow | BrokenLine | RepeatedRow | Noticed], notices: Notices
) -> Iterator[PreferenceRow | BrokenLine | RepeatedRow]:
    """All but what was noticed, which goes into `notices`."""
    for one in read:
        if isinstance(one, Noticed):
            notices.add(one)
        else:
            yield one


@dataclass(slots=True)
class _Replies:
    """How many rows had `two` that say something."""

    two: int = 0

    def counted(self, rows: Iterable[PreferenceRow]) -> Iterator[PreferenceRow]:
        for row in rows:
            self.two += bool(row.rejected.strip())
            yield row


def _whole(
    read: Iterable[PreferenceRow | BrokenLine | RepeatedRow], broken: list[str], repeated: list[str]
) -> Iterator[PreferenceRow]:
    """The rows; what is broken and what stood there before goes into the lists."""
    for one in read:
        if isinstance(one, BrokenLine):
            broken.append(one.problem)
        elif isinstance(one, RepeatedRow):
            repeated.append(one.problem)
        else:
            yield one


def _groups(rows: Iterable[PreferenceRow]) -> Iterator[list[PreferenceRow]]:
    group: list[PreferenceRow] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group

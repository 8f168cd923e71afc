"""Finding rows in a file of several groups, page by page from a row's number on."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judges.records import Message
from service.artifacts import Artifacts
from service.errors import NotFound
from service.preference_rows import PreferenceRows, RowFilter
from service.shards import to_parquet
from training.rows import PreferenceRow

ROWS = 2500


def row(number: int) -> PreferenceRow:
    """Every tenth is a person's tie; the principle answers on every fourth."""
    person = number % 10 == 0
    return PreferenceRow(
        id=f"row_{number}",
        prompt_id=f"p{number}",
        prompt=(Message("user", f'line one\nsays "{number}"'),),
        chosen=f"chosen {number}",
        rejected="rejected",
        p_chosen=0.5 if person else 0.9,
        weight=1.0,
        source="human" if person else "ai",
        per_principle=(("kind", 0.9 if number % 8 == 0 else 0.3),) if number % 4 == 0 else (),
    )


def grouped_rows() -> bytes:
    """In groups of 700 rows, which batches of 1024 do not fit."""
    out = io.BytesIO()
    table = pq.read_table(pa.BufferReader(to_parquet([row(number) for number in range(ROWS)])))
    pq.write_table(table, out, row_group_size=700)
    return out.getvalue()


@pytest.fixture(scope="module")
def data() -> bytes:
    return grouped_rows()


def numbers(data: bytes, wanted: RowFilter, begin: int, limit: int) -> tuple[list[int], int | None]:
    page = PreferenceRows(io.BytesIO(data)).search(wanted, begin, limit, ROWS)
    assert [pair.row for pair in page.pairs] == [row(pair.number) for pair in page.pairs]
    return [pair.number for pair in page.pairs], page.next


def test_pages_follow_one_another_through_all_groups(data: bytes) -> None:
    seen: list[int] = []
    begin: int | None = 0
    while begin is not None:
        found, begin = numbers(data, RowFilter(), begin, 333)
        seen += found
    assert seen == list(range(ROWS))


def test_a_filter_goes_on_where_its_page_ended(data: bytes) -> None:
    assert numbers(data, RowFilter(source="human"), 0, 3) == ([0, 10, 20], 21)
    assert numbers(data, RowFilter(source="human"), 21, 2) == ([30, 40], 41)
    assert numbers(data, RowFilter(unsure=0.1), 2485, 5) == ([2490], None)
    assert numbers(data, RowFilter(principle="kind", source="human"), 1399, 2) == ([1400, 1420], 1421)


def test_a_text_is_found_as_it_reads(data: bytes) -> None:
    assert numbers(data, RowFilter(text='says "2003"'), 0, 5) == ([2003], None)
    assert numbers(data, RowFilter(text="ONE\nsays"), 0, 1) == ([0], 1)
    assert numbers(data, RowFilter(text="CHOSEN 17"), 100, 2) == ([170, 171], 172)
    assert numbers(data, RowFilter(text="%"), 0, 5) == ([], None)


def test_a_long_search_is_continued_by_the_reader(data: bytes) -> None:
    page = PreferenceRows(io.BytesIO(data)).search(RowFilter(text="nowhere"), 0, 5, 1000)
    assert (page.pairs, page.next, page.searched) == ((), 1400, 1400)  # after the second group of 700
    page = PreferenceRows(io.BytesIO(data)).search(RowFilter(text="nowhere"), 1400, 5, 2000)
    assert (page.pairs, page.next, page.searched) == ((), None, 1100)


async def test_a_part_of_an_artifact_is_read_alone(tmp_path, data: bytes) -> None:
    artifacts = Artifacts(str(tmp_path))
    await artifacts.put_new("preferences/x.parquet", data)
    file = await artifacts.open("preferences/x.parquet")
    assert file.seek(-4, io.SEEK_END) == len(data) - 4 and file.read() == b"PAR1"
    assert file.seek(0) == 0 and file.read(4) == b"PAR1" and file.tell() == 4
    assert pq.ParquetFile(await artifacts.open("preferences/x.parquet")).metadata.num_rows == ROWS
    with pytest.raises(NotFound):
        await artifacts.open("preferences/y.parquet")

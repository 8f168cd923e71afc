"""Finding pairs in a file of several groups of rows, and counting what it holds."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judges.records import Message
from service.artifacts import Artifacts
from service.errors import NotFound
from service.pages.pair_search import PairFilter, find_pairs
from service.pages.set_facts import BINS, facts_of
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


@pytest.fixture(scope="module")
def data() -> bytes:
    """In groups of 700 rows, which batches of 1000 do not fit."""
    out = io.BytesIO()
    table = pq.read_table(pa.BufferReader(to_parquet([row(number) for number in range(ROWS)])))
    pq.write_table(table, out, row_group_size=700)
    return out.getvalue()


def numbers(data: bytes, wanted: PairFilter, begin: int, limit: int) -> tuple[list[int], int | None]:
    page = find_pairs(io.BytesIO(data), wanted, begin, limit)
    assert [pair.row for pair in page.pairs] == [row(pair.number) for pair in page.pairs]
    return [pair.number for pair in page.pairs], page.next


def test_pages_follow_one_another_through_all_groups(data: bytes) -> None:
    seen: list[int] = []
    begin: int | None = 0
    while begin is not None:
        found, begin = numbers(data, PairFilter(), begin, 333)
        seen += found
    assert seen == list(range(ROWS))


def test_a_filter_goes_on_where_its_page_ended(data: bytes) -> None:
    assert numbers(data, PairFilter(source="human"), 0, 3) == ([0, 10, 20], 21)
    assert numbers(data, PairFilter(source="human"), 21, 2) == ([30, 40], 41)
    assert numbers(data, PairFilter(unsure=True), 2485, 5) == ([2490], None)
    assert numbers(data, PairFilter(principle_id="kind", source="human"), 1399, 2) == ([1400, 1420], 1421)


def test_a_text_is_found_as_it_reads(data: bytes) -> None:
    assert numbers(data, PairFilter(text='says "2003"'), 0, 5) == ([2003], None)
    assert numbers(data, PairFilter(text="ONE\nsays"), 0, 1) == ([0], 1)
    assert numbers(data, PairFilter(text="CHOSEN 17"), 100, 2) == ([170, 171], 172)
    assert numbers(data, PairFilter(text="%"), 0, 5) == ([], None)


def test_a_long_search_is_continued_by_the_reader(data: bytes) -> None:
    page = find_pairs(io.BytesIO(data), PairFilter(text="nowhere"), 0, 5, most_searched=1000)
    assert (page.pairs, page.next, page.searched) == ((), 1400, 1400)  # after the second group of 700
    page = find_pairs(io.BytesIO(data), PairFilter(text="nowhere"), 1400, 5, most_searched=2000)
    assert (page.pairs, page.next, page.searched) == ((), None, 1100)


def test_the_facts_are_counts(data: bytes) -> None:
    facts = facts_of(io.BytesIO(data))
    assert (facts.rows, facts.detailed) == (2500, 2500)
    assert [(one.source, one.rows, one.unsure) for one in facts.sources] == [("ai", 2250, 0.0), ("human", 250, 1.0)]
    assert facts.sources[0].mean_p_chosen == pytest.approx(0.9)
    assert len(facts.histogram) == BINS and facts.histogram[0] == 250 and sum(facts.histogram) == 2500
    (kind,) = facts.principles  # 625 answers: 313 multiples of 8, the other 312 against
    assert (kind.answered, kind.agrees, kind.even) == (625, 313 / 625, 0.0)


async def test_a_part_of_an_artifact_is_read_alone(tmp_path, data: bytes) -> None:
    artifacts = Artifacts(str(tmp_path))
    await artifacts.put_new("preferences/x.parquet", data)
    file = await artifacts.open("preferences/x.parquet")
    assert file.seek(-4, io.SEEK_END) == len(data) - 4 and file.read() == b"PAR1"
    assert file.seek(0) == 0 and file.read(4) == b"PAR1" and file.tell() == 4
    assert pq.ParquetFile(await artifacts.open("preferences/x.parquet")).metadata.num_rows == ROWS
    with pytest.raises(NotFound):
        await artifacts.open("preferences/y.parquet")

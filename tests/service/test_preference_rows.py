"""A stored set in parts: pages and filters find what a look at all rows finds."""

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import Message
from service.errors import NotFound, ServiceError
from service.preference_rows import PreferenceRows, RowFilter
from service.shards import ROWS_PER_GROUP, to_parquet
from training.ranked import PICKED, RANKED, effective_sample_size
from training.rows import PreferenceRow

ROW = PreferenceRow("r", "p", (Message("user", "Why?"),), "Because.", "Hm.", 1.0, 1.0, "human")
COUNT = ROWS_PER_GROUP + 900


def row_number(n: int) -> PreferenceRow:
    answers = (("brief", 0.5 + n % 40 / 100), ('say "no"\\', 0.6)) if n % 7 == 0 else (("briefly", 0.9),)
    source, annotators = ("human", (f"ann_{n % 3}",)) if n % 5 == 0 else ("ai", ())
    belief, weight = 0.5 + n % 50 / 100, n % 4 / 2
    named = replace(ROW, id=f"r{n}", prompt_id=f"p{n // 2}", p_chosen=belief, weight=weight)
    named = replace(named, prompt=(Message("user", f'Number {n}, or "{n % 10}"\\?'),))
    part = RANKED if n % 8 else PICKED
    tags = ((("n", str(n)), (part, str(2 + n % 7))) if n % 4 == 0 else (("n", part),)) if n % 3 else ()
    return replace(named, source=source, annotators=annotators, per_principle=answers, tags=tags)


ROWS = [row_number(n) for n in range(COUNT)]
DATA = to_parquet(ROWS)


def stored() -> PreferenceRows:
    return PreferenceRows(io.BytesIO(DATA))


def asked(row: PreferenceRow, wanted: RowFilter) -> bool:
    return (
        wanted.source in (None, row.source)
        and (wanted.principle is None or wanted.principle in dict(row.per_principle))
        and (wanted.unsure is None or row.p_chosen <= 0.5 + wanted.unsure + 1e-9)
        and (wanted.text is None or wanted.text.lower() in f"{row.prompt[0].content} {row.chosen}".lower())
    )


FILTERS = st.builds(
    RowFilter,
    st.sampled_from([None, "human", "ai", "check"]),
    st.sampled_from([None, "brief", 'say "no"\\', "none"]),
    st.sampled_from([None, 0.0, 0.1, 0.5]),
    st.sampled_from([None, "NUMBER 4", '"7"\\', "none", "user", "content"]),
)


@settings(deadline=None, max_examples=30)
@given(wanted=FILTERS, after=st.none() | st.integers(0, COUNT - 1), limit=st.integers(1, 100))
def test_a_page_is_what_all_rows_would_give(wanted: RowFilter, after: int | None, limit: int) -> None:
    expected = [row for row in ROWS[0 if after is None else after + 1 :] if asked(row, wanted)]
    page = stored().page(None if after is None else f"r{after}", limit, wanted)
    assert list(page.rows) == expected[:limit]
    assert page.has_more == (len(expected) > limit)
    found = stored().search(wanted, 0 if after is None else after + 1, limit, COUNT)
    assert [one.row for one in found.pairs] == expected[:limit]
    assert [ROWS[one.number] for one in found.pairs] == expected[:limit]


def test_counts_by_hand() -> None:
    # Of 4996 rows every fifth is a person's; beliefs go round 0.50 to 0.99, so every fiftieth is a tie.
    counts = stored().counts()
    assert (counts["rows"], counts["human"], counts["ai"], counts["check"]) == (4996, 1000, 3996, 0)
    assert (counts["prompts"], counts["annotators"], counts["ties"]) == (2498, 3, 100)
    assert counts["effective_sample_size"] == pytest.approx(effective_sample_size(ROWS))
    assert stored().ties() == 100


def test_all_rows_in_their_order() -> None:
    assert [row for batch in stored().batches() for row in batch] == ROWS


def test_an_empty_set() -> None:
    empty = PreferenceRows(io.BytesIO(to_parquet([], PreferenceRow)))
    assert empty.page(None, 10, RowFilter()).rows == () and empty.counts()["effective_sample_size"] == 0


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="there is no row 'nothing'"):
        stored().page("nothing", 10, RowFilter())


def test_what_is_no_set() -> None:
    with pytest.raises(ServiceError, match="cannot be read"):
        PreferenceRows(io.BytesIO(b"nothing"))

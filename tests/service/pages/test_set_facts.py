"""What a set holds, counted by hand."""

import io

import pytest

from service.pages.set_facts import BINS, facts_of
from service.preference_rows import PreferenceRows
from tests.service.test_row_search import grouped_rows


def test_the_facts_are_counts() -> None:
    facts = facts_of(PreferenceRows(io.BytesIO(grouped_rows())))
    assert (facts.rows, facts.detailed) == (2500, 2500)
    assert [(one.source, one.rows, one.unsure) for one in facts.sources] == [("ai", 2250, 0.0), ("human", 250, 1.0)]
    assert facts.sources[0].mean_p_chosen == pytest.approx(0.9)
    assert len(facts.histogram) == BINS and facts.histogram[0] == 250 and sum(facts.histogram) == 2500
    (kind,) = facts.principles  # 625 answers: 313 multiples of 8, the other 312 against
    assert (kind.answered, kind.agrees, kind.even) == (625, 313 / 625, 0.0)

"""Whose verdict counts under which principle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.mix import MixConfig, mix_rows
from training.ownership import owned_rows

from .test_rows import make_row

OWNERS = {"helpful": "human", "harmless": "ai"}


def test_a_label_under_the_judges_principle_does_not_count():
    rows = [
        make_row("1", per_principle=(("helpful", 0.9),)),
        make_row("2", per_principle=(("harmless", 0.9),)),
        make_row("3", per_principle=(("other", 0.9),)),
        make_row("4"),
    ]
    owned = owned_rows(rows, OWNERS)
    assert [row.id for row in owned.rows] == ["1", "3", "4"] and owned.dropped == 1


def test_what_is_left_decides_and_may_turn_the_pair():
    # harmless 0.3 and honest 0.4 for the chosen reply: odds 3/7 * 2/3 = 2/7 -> 2/9, so the other one wins with 7/9
    said = (("helpful", 0.9), ("harmless", 0.3), ("honest", 0.4))
    row = owned_rows([make_row("m", source="ai", p_chosen=0.7, per_principle=said)], OWNERS).rows[0]
    assert (row.chosen, row.rejected) == ("Great question!", "Air scatters blue light most.")
    assert row.p_chosen == pytest.approx(7 / 9)
    assert row.per_principle == (("harmless", pytest.approx(0.7)), ("honest", pytest.approx(0.6)))


def test_a_label_and_a_verdict_under_different_principles_are_no_conflict():
    person = make_row("h", per_principle=(("helpful", 1.0),))
    judge = make_row(
        "m", source="ai", chosen=person.rejected, rejected=person.chosen, per_principle=(("harmless", 0.9),)
    )
    mixed = mix_rows([person], [judge], MixConfig(owners=OWNERS))
    assert mixed.report.conflicts == 0 and len(mixed.rows) == 2


PRINCIPLES = st.dictionaries(st.sampled_from(["helpful", "harmless", "other"]), st.floats(0, 1), min_size=1)


@given(st.lists(st.tuples(st.sampled_from(["human", "ai", "check"]), PRINCIPLES), max_size=12), st.floats(0, 1))
def test_ownership_never_lets_the_other_source_in(said, other):
    def rows_with(value: float | None):
        """Every belief under a principle that the row's source does not own replaced by `value`."""
        made = [
            make_row(
                f"r{n}",
                source=source,
                chosen=f"x{n}",
                rejected=f"y{n}",
                per_principle=tuple(
                    (id, p if value is None or OWNERS.get(id, owner) == owner else value) for id, p in own.items()
                ),
            )
            for n, (source, own) in enumerate(said)
            for owner in ["human" if source == "human" else "ai"]
        ]
        return [r for r in made if r.source == "human"], [r for r in made if r.source != "human"]

    config = MixConfig(ratio=1.0, owners=OWNERS)
    assert mix_rows(*rows_with(None), config) == mix_rows(*rows_with(other), config)
    for row in mix_rows(*rows_with(None), config).rows:
        owner = "human" if row.source == "human" else "ai"
        assert all(OWNERS.get(id, owner) == owner for id, _ in row.per_principle)

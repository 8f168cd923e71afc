"""Rings and knots, against a brute-force count."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from judges.cycles import Cycles, Knot, Triple, Win, find_cycles


def test_a_ring_of_three():
    found = find_cycles(4, [Win(2, 0), Win(0, 1), Win(1, 2), Win(0, 3)])
    assert found == Cycles((Triple(0, 1, 2),), 1, (Knot((0, 1, 2)),)) and found.rate == 1.0


def test_a_ring_the_other_way_begins_with_its_lowest():
    assert find_cycles(3, [Win(1, 0), Win(0, 2), Win(2, 1)]).triples == (Triple(0, 2, 1),)


def test_an_order_has_none():
    found = find_cycles(4, [Win(a, b) for a, b in itertools.combinations(range(4), 2)])
    assert found == Cycles((), 4, ()) and found.rate == 0.0


def test_a_ring_of_four_is_a_knot_without_a_triple():
    found = find_cycles(4, [Win(0, 1), Win(1, 2), Win(2, 3), Win(3, 0)])
    assert found == Cycles((), 0, (Knot((0, 1, 2, 3)),))


def test_a_tie_is_judged_but_is_no_arrow():
    assert find_cycles(3, [Win(0, 1), Win(1, 2), Win(0, 2, tie=True)]) == Cycles((), 1, ())


def test_two_knots():
    rings = [(0, 4), (4, 2), (2, 0), (1, 3), (3, 5), (5, 1)]
    assert find_cycles(6, [Win(a, b) for a, b in rings]).knots == (Knot((0, 2, 4)), Knot((1, 3, 5)))


@given(st.lists(st.booleans(), min_size=10, max_size=10))
def test_the_count_of_kendall_and_babington_smith(first_wins):
    """In a full tournament of K replies the rings are C(K, 3) - sum of C(wins, 2) (1940)."""
    pairs = itertools.combinations(range(5), 2)
    wins = [Win(a, b) if first else Win(b, a) for (a, b), first in zip(pairs, first_wins, strict=True)]
    won = [sum(win.winner == reply for win in wins) for reply in range(5)]
    found = find_cycles(5, wins)
    assert len(found.triples) == 10 - sum(w * (w - 1) // 2 for w in won) and found.judged_triples == 10
    assert bool(found.triples) == bool(found.knots)

"""Where verdicts contradict each other: A beats B, B beats C, and C beats A. Language models do so in about 4 to 15 %
of triples (Liu et al. 2024, arXiv:2403.16950), and no order of the replies then agrees with all verdicts.

Left out: what to do about it. The fit (bradley_terry.py) weighs all verdicts; this only reports.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True, slots=True)
class Win:
    """One verdict as an arrow between two replies' indices. A tie is no arrow, but its pair was judged."""

    winner: int
    loser: int
    tie: bool = False


@dataclass(frozen=True, slots=True)
class Triple:
    """Three replies that beat each other in a ring: first beats second, second beats third, third beats first."""

    first: int
    second: int
    third: int


@dataclass(frozen=True, slots=True)
class Knot:
    """Two or more replies of which each beats each other one, directly or by way of others in the knot."""

    replies: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cycles:
    """`triples` are the rings among the `judged_triples`, those whose three pairs all have a verdict; `knots` are the
    strongly connected components of more than one reply."""

    triples: tuple[Triple, ...]
    judged_triples: int
    knots: tuple[Knot, ...]

    @property
    def rate(self) -> float:
        """The share of judged triples that are rings, 0 to 1; 0 where none is judged (`judged_triples` says so)."""
        return len(self.triples) / self.judged_triples if self.judged_triples else 0.0


def find_cycles(replies: int, wins: Iterable[Win]) -> Cycles:
    """All rings of three and all knots. Each ring begins with its lowest index."""
    arrows = np.zeros((replies, replies), dtype=bool)
    judged = np.zeros((replies, replies), dtype=bool)
    for win in wins:
        judged[win.winner, win.loser] = judged[win.loser, win.winner] = True
        arrows[win.winner, win.loser] |= not win.tie
    triples, complete = [], 0
    for i, j, k in itertools.combinations(range(replies), 3):
        complete += bool(judged[i, j] and judged[j, k] and judged[i, k])
        if arrows[i, j] and arrows[j, k] and arrows[k, i]:
            triples.append(Triple(i, j, k))
        elif arrows[i, k] and arrows[k, j] and arrows[j, i]:
            triples.append(Triple(i, k, j))
    return Cycles(tuple(triples), complete, _knots(arrows))


def _knots(arrows: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> tuple[Knot, ...]:
    count, label = connected_components(csr_array(arrows), directed=True, connection="strong")
    members = (np.flatnonzero(label == one) for one in range(count))
    return tuple(sorted((Knot(tuple(map(int, m))) for m in members if len(m) > 1), key=lambda knot: knot.replies))

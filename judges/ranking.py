"""A ranking, and how it is made of the pairs that were judged.

What a judge answered is kept as it is: an abstention is counted and is never a tie. A reply that no verdict links to
the others has no place. Left out: which pairs are asked, and the asking (rank.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from judges.bradley_terry import Contests, Floats, Indices, Strengths, fit_shown_once, fit_strengths, p_above, p_best
from judges.choices import Choice, sigmoid
from judges.combine import Combined
from judges.cycles import Cycles, Win, find_cycles
from judges.errors import CannotRank
from judges.records import Abstention, Preference

Stopped = Literal["sure", "spent", "all_judged"]


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """One pair that was asked, by the replies' indices, and the answer; a `Choice` saw `a` shown first only."""

    a: int
    b: int
    answer: Preference | Combined | Choice | Abstention


@dataclass(frozen=True, slots=True)
class Placed:
    """One reply in the ranking: its index, its strength in logits, and the probability that the judge's best is it."""

    reply: int
    strength: float
    p_best: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """`placed` is best first; `p_above[i][j]` is the probability that its i-th is stronger than its j-th.

    `unplaced` are the replies that no chain of verdicts links to those placed: nothing is known of where they belong.
    `pairs` is all that was asked, in order. It `stopped` since P(best) was high enough, the budget was spent, or no
    pair was left.
    """

    placed: tuple[Placed, ...]
    unplaced: tuple[int, ...]
    p_above: tuple[tuple[float, ...], ...]
    pairs: tuple[JudgedPair, ...]
    cycles: Cycles
    stopped: Stopped

    @property
    def order(self) -> tuple[int, ...]:
        """The placed replies' indices, best first."""
        return tuple(one.reply for one in self.placed)

    @property
    def abstentions(self) -> int:
        """How many of the pairs asked have no verdict."""
        return sum(isinstance(pair.answer, Abstention) for pair in self.pairs)

    @property
    def flips(self) -> int:
        """How many verdicts of both orders name another winner in each; a combined belief does not say."""
        return sum(isinstance(pair.answer, Preference) and pair.answer.flipped for pair in self.pairs)


def _p_a(answer: Preference | Combined | Choice) -> float:
    return answer.p_first if isinstance(answer, Choice) else answer.p_a


def contests_of(replies: int, asked: Sequence[JudgedPair]) -> Contests:
    """What was answered, as one ranking's contests; abstentions are not among them. A half of both orders is a tie."""
    judged = [(pair, pair.answer) for pair in asked if not isinstance(pair.answer, Abstention)]
    p_a: Floats = np.array([[_p_a(answer) for _, answer in judged]], dtype=np.float64)
    if not (np.isfinite(p_a) & (p_a >= 0) & (p_a <= 1)).all():
        raise CannotRank("a verdict's p_a is no probability; it must be from 0 to 1")
    position: Floats = np.array([float(isinstance(answer, Choice)) for _, answer in judged])
    return Contests(
        replies=replies,
        a_C=np.array([pair.a for pair, _ in judged], dtype=np.intp),
        b_C=np.array([pair.b for pair, _ in judged], dtype=np.intp),
        p_a_NC=p_a,
        tie_NC=(p_a == 0.5) * (1 - position),
        judged_NC=np.ones(p_a.shape, dtype=bool),
        position_C=position,
    )


def ranking_of(replies: int, asked: Sequence[JudgedPair], stopped: Stopped) -> Ranking | Abstention:
    """The fit of the verdicts as a ranking of `replies` replies. Without any verdict, the first pair's abstention."""
    abstained = [pair.answer for pair in asked if isinstance(pair.answer, Abstention)]
    if len(abstained) == len(asked):
        return abstained[0]
    linked = _largest_group(replies, asked)
    contests = contests_of(replies, asked)
    fit = fit_shown_once(contests) if contests.position_C.any() else fit_strengths(contests)
    best_first = linked[np.argsort(-fit.mean_NK[0, linked], kind="stable")]
    placed_fit = _only(fit, best_first)
    best = p_best(placed_fit)[0]
    return Ranking(
        placed=tuple(
            Placed(int(reply), float(fit.mean_NK[0, reply]), float(p))
            for reply, p in zip(best_first, best, strict=True)
        ),
        unplaced=tuple(sorted(set(range(replies)) - set(map(int, best_first)))),
        p_above=tuple(tuple(map(float, row)) for row in p_above(placed_fit)[0]),
        pairs=tuple(asked),
        cycles=find_cycles(replies, _wins(asked, float(fit.first_N[0]))),
        stopped=stopped,
    )


def _only(fit: Strengths, replies: Indices) -> Strengths:
    """The fit of these replies alone, in this order."""
    return Strengths(
        fit.mean_NK[:, replies], fit.covariance_NKK[:, replies][:, :, replies], fit.first_N, fit.log_tie_N, fit.noise_N
    )


def _largest_group(replies: int, asked: Sequence[JudgedPair]) -> Indices:
    """The most replies that verdicts link to each other; of several such groups, the one of the lowest index."""
    linked = np.zeros((replies, replies), dtype=bool)
    for pair in asked:
        linked[pair.a, pair.b] |= not isinstance(pair.answer, Abstention)
    _, label = connected_components(csr_array(linked), directed=False)
    sizes = np.bincount(label)[label]
    return np.flatnonzero(label == label[sizes.argmax()])


def _wins(asked: Sequence[JudgedPair], first: float) -> list[Win]:
    """Who won each pair; from a verdict of one order, what being shown `first` is worth in logits is taken off."""
    answered = [(pair, pair.answer) for pair in asked if not isinstance(pair.answer, Abstention)]
    even = sigmoid(first)
    margins = [(p, _p_a(answer) - (even if isinstance(answer, Choice) else 0.5)) for p, answer in answered]
    return [Win(p.a, p.b, tie=margin == 0) if margin >= 0 else Win(p.b, p.a) for p, margin in margins]

"""Rank K replies to one prompt by comparing pairs of them.

The pairs of a round go out together; a pair whose judge abstained is not asked again. Left out: how a pair is compared
(compare.py, combine.py), the choice of pairs (pairing.py) and what the answers make (ranking.py).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from judges.bradley_terry import fit_strengths
from judges.choices import Choice
from judges.combine import Combined
from judges.errors import CannotRank
from judges.gathering import all_of
from judges.pairing import all_pairs, next_round
from judges.ranking import JudgedPair, Ranking, Stopped, contests_of, ranking_of
from judges.records import Abstention, Preference
from judges.schedules import Schedule

ADAPTIVE = Schedule()
# Three replies have three pairs: two gaps and the bonus for being first follow from them only where nothing is noise.
LEAST_IN_ONE_ORDER = 4


class ComparePair(Protocol):
    """Compares two replies in both orders; `p_a` of the answer is that of the first argument being better."""

    async def __call__(self, a: str, b: str) -> Preference | Combined | Abstention: ...


class ComparePairOnce(Protocol):
    """Compares two replies in one order, `first` shown first."""

    async def __call__(self, first: str, second: str) -> Choice | Abstention: ...


async def rank(
    replies: Sequence[str], compare_pair: ComparePair, schedule: Schedule = ADAPTIVE
) -> Ranking | Abstention:
    """Rank by verdicts of both orders. Where no pair has a verdict, the result is the first pair's abstention.

    Raises CannotRank for fewer than two replies or one given twice; an error of `compare_pair` ends the round's others.
    """
    count = _checked(replies, least=2)
    pairs, asked = all_pairs(count), list[JudgedPair]()
    done_P = np.zeros(len(pairs.a_P), dtype=bool)
    while (chosen_P := next_round(fit_strengths(contests_of(count, asked)), done_P[None], schedule)[0]).any():
        round_of = list(zip(pairs.a_P[chosen_P].tolist(), pairs.b_P[chosen_P].tolist(), strict=True))
        answers = await all_of(compare_pair(replies[a], replies[b]) for a, b in round_of)
        asked += [JudgedPair(a, b, answer) for (a, b), answer in zip(round_of, answers, strict=True)]
        done_P |= chosen_P
    spent: Stopped = "spent" if len(asked) >= schedule.budget(count) else "sure"
    return ranking_of(count, asked, "all_judged" if done_P.all() else spent)


async def rank_one_order(replies: Sequence[str], compare_once: ComparePairOnce) -> Ranking | Abstention:
    """Rank by every pair shown once: as many requests as half of all pairs in both orders.

    Each reply is shown first as often as second, or once more or less, and what being first is worth is fitted. Given
    up is what the second order gives: the noise of the order itself is not averaged, and no flip can be seen. Raises
    CannotRank for fewer than four replies, whose pairs are too few to tell the bonus, or one given twice.
    """
    count = _checked(replies, least=LEAST_IN_ONE_ORDER)
    pairs = all_pairs(count)
    both = zip(pairs.a_P.tolist(), pairs.b_P.tolist(), strict=True)
    shown = [(a, b) if (a + b) % 2 else (b, a) for a, b in both]
    answers = await all_of(compare_once(replies[first], replies[second]) for first, second in shown)
    asked = [JudgedPair(a, b, answer) for (a, b), answer in zip(shown, answers, strict=True)]
    return ranking_of(count, asked, "all_judged")


def _checked(replies: Sequence[str], least: int) -> int:
    if len(replies) < least:
        raise CannotRank(f"{len(replies)} replies cannot be ranked in this way; give at least {least}")
    seen: dict[str, int] = {}
    for index, reply in enumerate(replies):
        if seen.setdefault(reply, index) != index:
            raise CannotRank(f"replies {seen[reply]} and {index} are the same text; rank it once")
    return len(replies)

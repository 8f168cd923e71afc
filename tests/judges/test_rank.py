"""Ranking by judges that are plain functions of two texts."""

import asyncio
import math

import pytest

from judges.choices import Choice
from judges.combine import Combined
from judges.cycles import Triple
from judges.errors import CannotRank, JudgeServerError
from judges.rank import rank, rank_one_order
from judges.ranking import Ranking
from judges.records import Abstention, Preference
from judges.schedules import Schedule

SILENT = Abstention("no_label_mass", "hm")
FULL = Schedule(kind="full")
REPLIES = tuple("cafhbgde")  # the judges below prefer the letter that comes first in the alphabet


def belief(p_a):
    return Preference(p_a, p_a, p_a, 1.0)


def p_earlier(a, b):
    return 1 / (1 + math.exp((ord(a) - ord(b)) * 1.0))


class Judge:
    """Prefers the earlier letter by one logit a step, and abstains on every pair that has one of `silent_on`."""

    def __init__(self, silent_on=""):
        self.silent_on, self.asked, self.at_once, self.most_at_once = silent_on, [], 0, 0

    async def __call__(self, a, b):
        self.asked.append(a + b)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return SILENT if set(a + b) & set(self.silent_on) else belief(p_earlier(a, b))


def letters(ranking, replies=REPLIES):
    return "".join(replies[index] for index in ranking.order)


@pytest.mark.parametrize(("schedule", "pairs"), [(FULL, 28), (Schedule(), 14)])
async def test_a_consistent_judge_gives_its_order(schedule, pairs):
    judge = Judge()
    ranking = await rank(REPLIES, judge, schedule)
    assert isinstance(ranking, Ranking)
    assert letters(ranking) == "abcdefgh" and ranking.unplaced == () and ranking.abstentions == 0
    assert len(ranking.pairs) == pairs == len(judge.asked) == len({frozenset(pair) for pair in judge.asked})
    assert ranking.cycles.triples == () and ranking.cycles.knots == ()
    strengths = [one.strength for one in ranking.placed]
    assert strengths == sorted(strengths, reverse=True) and sum(strengths) == pytest.approx(0, abs=1e-6)
    assert ranking.placed[0].p_best == max(one.p_best for one in ranking.placed)
    assert sum(one.p_best for one in ranking.placed) == pytest.approx(1)
    assert ranking.p_above[0][7] > 0.95 and ranking.p_above[0][7] + ranking.p_above[7][0] == pytest.approx(1)


async def test_the_pairs_of_a_round_go_out_together():
    adaptive, full = Judge(), Judge()
    await rank(REPLIES, adaptive)
    await rank(REPLIES, full, FULL)
    assert adaptive.most_at_once == 4 and full.most_at_once == 28


async def test_it_stops_when_the_best_is_sure():
    """A judge that always answers as the model says, of replies far apart: few spare verdicts settle the best."""
    ranking = await rank("az", Judge(), Schedule(stop_at_p_best=0.8))
    assert isinstance(ranking, Ranking) and ranking.stopped == "all_judged"
    ranking = await rank(REPLIES, Judge(), Schedule(most_pairs=27, stop_at_p_best=0.6))
    assert isinstance(ranking, Ranking) and ranking.stopped == "sure" and len(ranking.pairs) < 27
    assert letters(ranking)[0] == "a" and ranking.placed[0].p_best >= 0.6


async def test_it_stops_when_the_budget_is_spent():
    ranking = await rank(REPLIES, Judge(), Schedule(most_pairs=9))
    assert isinstance(ranking, Ranking) and ranking.stopped == "spent" and len(ranking.pairs) == 9


@pytest.mark.parametrize("schedule", [FULL, Schedule()])
async def test_a_reply_the_judge_is_silent_on_has_no_place(schedule):
    judge = Judge(silent_on="d")
    ranking = await rank(REPLIES, judge, schedule)
    assert isinstance(ranking, Ranking)
    assert ranking.unplaced == (REPLIES.index("d"),) and letters(ranking) == "abcefgh"
    assert ranking.abstentions == sum("d" in pair for pair in judge.asked) >= 1
    assert len(ranking.pairs) == len(judge.asked) and len(ranking.p_above) == 7
    assert sum(one.p_best for one in ranking.placed) == pytest.approx(1)


async def test_no_verdict_at_all_is_an_abstention():
    assert await rank(REPLIES, Judge(silent_on=REPLIES)) == SILENT
    assert await rank("ab", Judge(silent_on="a"), FULL) == SILENT


async def test_groups_without_a_link_are_not_ordered():
    """Verdicts within abc and within de, none between: the larger group is placed, the other is not."""

    async def judge(a, b):
        return belief(p_earlier(a, b)) if (a in "abc") == (b in "abc") else SILENT

    ranking = await rank("deabc", judge, FULL)
    assert isinstance(ranking, Ranking) and letters(ranking, "deabc") == "abc" and ranking.unplaced == (0, 1)


async def test_an_abstention_is_no_tie():
    """a beats b, b is silent with c, a beats c: b and c keep their own strengths, and a tie would not."""

    async def judge(a, b):
        return SILENT if a + b == "bc" else belief(0.9 if a + b == "ab" else 0.8)

    async def tied(a, b):
        return belief(0.5) if a + b == "bc" else await judge(a, b)

    silent, even = await rank("abc", judge, FULL), await rank("abc", tied, FULL)
    assert isinstance(silent, Ranking) and isinstance(even, Ranking)
    gaps = [ranking.placed[1].strength - ranking.placed[2].strength for ranking in (silent, even)]
    assert gaps[0] > gaps[1] > 0 and silent.cycles.judged_triples == 0 and even.cycles.judged_triples == 1


async def test_rings_are_reported():
    ring = {"ab": 0.9, "bc": 0.9, "ac": 0.2}

    async def judge(a, b):
        return belief(ring[a + b])

    ranking = await rank("abc", judge, FULL)
    assert isinstance(ranking, Ranking) and ranking.cycles.triples == (Triple(0, 1, 2),)


async def test_flips_are_counted():
    """b against c is won by whichever is shown first."""

    async def judge(a, b):
        return Preference(0.55, 0.9, 0.2, 1.0) if a + b == "bc" else belief(0.8)

    ranking = await rank("abc", judge, FULL)
    assert isinstance(ranking, Ranking) and ranking.flips == 1


async def test_combined_beliefs_rank_too():
    async def judge(a, b):
        return Combined(p_earlier(a, b), ("kind",), "ai", 0)

    ranking = await rank("bca", judge)
    assert isinstance(ranking, Ranking) and letters(ranking, "bca") == "abc"


@pytest.mark.parametrize("replies", [(), ("a",)])
async def test_one_reply_is_no_ranking(replies):
    judge = Judge()
    with pytest.raises(CannotRank, match="at least 2"):
        await rank(replies, judge)
    assert judge.asked == []


async def test_one_order_wants_four_replies():
    """Of three, the bonus for being first cannot be told from the replies."""
    with pytest.raises(CannotRank, match="at least 4"):
        await rank_one_order("abc", Judge())


async def test_one_text_twice_is_refused():
    with pytest.raises(CannotRank, match="replies 0 and 2 are the same text"):
        await rank("aba", Judge())


@pytest.mark.parametrize("p_a", [math.nan, -0.1, 1.5])
async def test_what_is_no_probability_is_refused(p_a):
    async def judge(a, b):
        return belief(p_a)

    with pytest.raises(CannotRank, match="from 0 to 1"):
        await rank("ab", judge)


async def test_a_judge_that_is_down_makes_no_ranking():
    async def judge(a, b):
        raise JudgeServerError("down")

    with pytest.raises(JudgeServerError):
        await rank(REPLIES, judge)


async def test_one_order_shows_each_pair_once_and_takes_the_bonus_off():
    """The judge favours what it sees first by 2.5 logits, more than two steps of the alphabet."""
    shown = []

    async def judge(first, second):
        shown.append(first + second)
        return Choice(1 / (1 + math.exp(ord(first) - ord(second) - 2.5)), 1.0)

    ranking = await rank_one_order(REPLIES, judge)
    assert isinstance(ranking, Ranking) and letters(ranking) == "abcdefgh"
    assert len(shown) == 28 == len({frozenset(pair) for pair in shown})
    first = [sum(pair[0] == letter for pair in shown) for letter in REPLIES]
    assert set(first) == {3, 4}
    # By the raw readings there are rings; by what the judge thinks of the replies there are none.
    assert ranking.cycles.triples == () and ranking.stopped == "all_judged"


async def test_one_order_keeps_abstentions():
    async def judge(first, second):
        return SILENT if "a" in first + second else Choice(p_earlier(first, second), 1.0)

    ranking = await rank_one_order("caedb", judge)
    assert isinstance(ranking, Ranking) and letters(ranking, "caedb") == "bcde" and ranking.unplaced == (1,)
    assert ranking.abstentions == 4

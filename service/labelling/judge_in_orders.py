"""The judge beside people's rankings: its beliefs on pairs of replies, held against the order of most people."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from service.labelling.agreement import FEWEST, Question, question_of, rate, too_few
from service.labelling.figures import JudgeQuality
from service.labelling.judged_orders import Orders, reply_hash
from service.labelling.rankings import Ranking, first_rankings, ordered_pairs, rankings_in
from service.store.label_records import TaskLabel

_BESIDE = "rankings beside the judge's verdicts"


def judge_of_rankings(labels: Sequence[TaskLabel], orders: Orders, otherwise: JudgeQuality) -> JudgeQuality:
    """`otherwise` has what rankings say nothing of, gold and alpha.

    `with_majority` is the share of pairs in the order of most people, of those that the judge has a verdict on and most
    people agree about, a tie of the judge's being half right. `kappa` is Kendall's tau from that. Each question counts
    once, as each ranking does in rankings.py.
    """
    replies = {question_of(label): tuple(map(reply_hash, label.replies)) for label in rankings_in(labels)}
    ranked: dict[Question, list[Ranking]] = {}
    for mine in first_rankings(labels).values():
        for question, ranking in mine.items():
            ranked.setdefault(question, []).append(ranking)
    believed = {question: found for question in ranked if (found := _believed(replies[question], orders.get(question)))}
    shares = [share for question, found in believed.items() if (share := _alike(found, ranked[question])) is not None]
    right, enough = math.fsum(shares), len(shares) >= FEWEST
    return JudgeQuality(
        questions=len(believed),
        gold_accuracy=otherwise.gold_accuracy,
        with_majority=rate(right, len(shares), _BESIDE),
        kappa=2 * right / len(shares) - 1 if enough else too_few(len(shares), _BESIDE),
        alpha=otherwise.alpha,
        ties=sum(all(p_a == 0.5 for p_a in found.values()) for found in believed.values()),
    )


def _believed(replies: Sequence[str], beliefs: Mapping[tuple[str, str], float] | None) -> dict[tuple[int, int], float]:
    """By the places of two replies in the task, the belief that the first one is better, where there is one."""
    known = beliefs or {}
    places = combinations(range(len(replies)), 2)
    return {(i, j): known[replies[i], replies[j]] for i, j in places if (replies[i], replies[j]) in known}


def _alike(believed: Mapping[tuple[int, int], float], rankings: Sequence[Ranking]) -> float | None:
    """None where people are even on every pair."""
    for_it = Counter(pair for ranking in rankings for pair in ordered_pairs(ranking))
    right = [
        0.5 if p_a == 0.5 else float((p_a > 0.5) == (for_it[i, j] > for_it[j, i]))
        for (i, j), p_a in believed.items()
        if for_it[i, j] != for_it[j, i]
    ]
    return math.fsum(right) / len(right) if right else None

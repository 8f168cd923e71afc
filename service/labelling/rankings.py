"""How far rankings agree, from labels of one project: by the pairs of replies that they put in the same order.

The share of a ranking's pairs that another has in the same order is (1 + tau) / 2 by Kendall's tau. Chance agrees on
half of them, so that tau is Cohen's kappa over the pairs. One ranking's pairs are no independent answers: each ranking
counts as one answer, right by its share, and so the intervals are rather too wide than too narrow.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from service.labelling.agreement import FEWEST, Question, alpha_of_counts, in_order, question_of, rate, too_few
from service.labelling.figures import Number, PairAgreement
from service.store.label_records import TaskLabel

# The replies from best to worst, by their places in the task.
Ranking = tuple[int, ...]
# Each annotator's first ranking on each question.
Rankings = Mapping[str, Mapping[Question, Ranking]]


def rankings_in(labels: Sequence[TaskLabel]) -> tuple[TaskLabel, ...]:
    """In order of time, without training."""
    return tuple(label for label in in_order(labels) if label.choice == "ranked" and not label.training)


def first_rankings(labels: Sequence[TaskLabel]) -> Rankings:
    """What each annotator said of each question the first time."""
    found: dict[str, dict[Question, Ranking]] = defaultdict(dict)
    for label in rankings_in(labels):
        found[label.annotator_id].setdefault(question_of(label), label.ranking)
    return found


def ordered_pairs(ranking: Ranking) -> frozenset[tuple[int, int]]:
    """Each two replies, the better one first."""
    return frozenset(combinations(ranking, 2))


def alike(one: Ranking, other: Ranking) -> float:
    """The share of pairs in the same order, of rankings of the same replies: 1 for the same, 0 for the reverse."""
    pairs = ordered_pairs(one)
    return len(pairs & ordered_pairs(other)) / len(pairs)


def alike_most(mine: Ranking, others: Sequence[Ranking]) -> float | None:
    """The share of pairs in the order of most of the others; None where these are even on every pair."""
    for_it = Counter(pair for other in others for pair in ordered_pairs(other))
    decided = [for_it[pair] > for_it[pair[::-1]] for pair in ordered_pairs(mine) if for_it[pair] != for_it[pair[::-1]]]
    return sum(decided) / len(decided) if decided else None


def ranking_agreements(rankings: Rankings) -> tuple[PairAgreement, ...]:
    """Every two annotators who share a question; their kappa is the mean of Kendall's tau."""
    return tuple(
        _agreement(first, second, rankings)
        for first, second in combinations(sorted(rankings), 2)
        if rankings[first].keys() & rankings[second].keys()
    )


def ordinal_alpha(rankings: Rankings) -> Number:
    """Krippendorff's alpha of the places that replies got, near places counting as near."""
    places: dict[tuple[Question, int], Counter[int]] = defaultdict(Counter)
    for mine in rankings.values():
        for question, ranking in mine.items():
            for place, reply in enumerate(ranking):
                places[question, reply][place] += 1
    deepest = max((place for count in places.values() for place in count), default=0)
    return alpha_of_counts([[count[place] for place in range(deepest + 1)] for count in places.values()], "ordinal")


def _agreement(first: str, second: str, rankings: Rankings) -> PairAgreement:
    shared = rankings[first].keys() & rankings[second].keys()
    same = math.fsum(alike(rankings[first][question], rankings[second][question]) for question in shared)
    enough = len(shared) >= FEWEST
    tau = 2 * same / len(shared) - 1 if enough else too_few(len(shared), "shared rankings")
    return PairAgreement(first, second, len(shared), rate(same, len(shared), "shared rankings"), tau)

"""Labels of a project as preference rows: one a pair and annotator, or one a pair with the share of the votes.

Training, gold and repeats measure people; they become no rows, but tell how reliable each person is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from judges.records import Conversation
from service.exchange.formats.extras import CHOSEN_SHOWN
from service.exchange.formats.pair import Pair
from service.exchange.preferences import human_row
from service.labelling.reliability import reliabilities
from service.labelling.votes import VOTES
from service.store.label_records import RoutedBy, TaskLabel
from training.cast_votes import CastVote, row_of_votes
from training.ranked import RANKED, ranked_weight
from training.rows import PreferenceRow

# Tasks that measure people, why their pair was sent: what was answered there makes no rows.
MEASURES: tuple[RoutedBy, ...] = ("training", "gold", "repeat")
# What a person's vote weighs: the same as anybody's, or by how often that person is right (reliability.py).
PeopleWeights = Literal["equal", "measured"]
# The tag of a row beside whose votes somebody wrote something.
COMMENT = "comment"
# A prompt, two texts in a fixed order, and whose votes: one person's, or everybody's where it is empty.
_Group = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class LabelRows:
    """`asks_revision` are the pairs of which somebody said that both replies are bad; `skips` made nothing.

    `weights` are people's own where they were measured, by annotator id; others weigh 1.
    """

    rows: tuple[PreferenceRow, ...]
    asks_revision: tuple[str, ...]
    skips: int
    measuring: int
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Vote:
    """One person on two replies: `p_a` is 1 where the first is better, 0.5 for a tie. It counts `weight` times.

    `ranked` is how many replies stood in the ranking that it is a part of, 0 for none.
    """

    pair_id: str
    prompt: Conversation
    a: str
    b: str
    p_a: float
    weight: float
    ranked: int
    label: TaskLabel


def rows_from_labels(labels: Sequence[TaskLabel], *, aggregate: bool, weights: PeopleWeights = "equal") -> LabelRows:
    """A person's votes on one pair under several principles are averaged; `per_principle` keeps each.

    Measured, a row weighs what its person does; an aggregated one has the mean weight of its votes, and its belief is
    their share by weight. It keeps the votes, so that a cap can take out one person's. Where more of the votes on a
    pair say that both replies are bad than name one or a tie, there is none.
    """
    measured = {one.annotator_id: one.weight for one in reliabilities(labels)} if weights == "measured" else {}
    counted = [label for label in labels if label.routed_by not in MEASURES]
    groups: dict[_Group, list[_Vote]] = {}
    for label in counted:
        for vote in _votes(label, measured.get(label.annotator_id, 1.0)):
            person = "" if aggregate else label.annotator_id
            groups.setdefault((vote.prompt, *sorted((vote.a, vote.b)), person), []).append(vote)
    bad = _both_bad(counted, measured) if aggregate else {}
    return LabelRows(
        rows=tuple(
            _row(votes, aggregate)
            for group, votes in groups.items()
            if bad.get(group, 0.0) <= math.fsum(vote.weight for vote in votes)
        ),
        asks_revision=tuple(dict.fromkeys(label.pair_id for label in counted if label.choice == "both_bad")),
        skips=sum(label.choice == "skip" for label in counted),
        measuring=len(labels) - len(counted),
        weights=measured,
    )


def _both_bad(labels: Sequence[TaskLabel], weights: Mapping[str, float]) -> Mapping[_Group, float]:
    """By how much weight all people together say of two texts that both are bad."""
    found: dict[_Group, float] = {}
    for label in labels:
        if label.choice == "both_bad":
            texts = sorted(set(label.replies))
            weight = weights.get(label.annotator_id, 1.0) * (ranked_weight(len(texts)) if label.kind == "rank" else 1.0)
            for one, other in combinations(texts, 2):
                found[label.prompt, one, other, ""] = found.get((label.prompt, one, other, ""), 0.0) + weight
    return found


def _votes(label: TaskLabel, weight: float) -> Iterable[_Vote]:
    """What the label says of each two replies; nothing of two that are the same text.

    The pairs of a ranking are no independent answers, and weigh less (training/ranked.py).
    """
    texts = label.replies
    ranked = len(set(texts)) if label.choice == "ranked" else 0
    weight *= ranked_weight(ranked) if ranked else 1.0
    if label.choice == "rewritten":
        found = [(label.rewrite, texts[0], 1.0)]
    elif label.choice == "ranked":
        best_first = [texts[place] for place in label.ranking]
        found = [(better, worse, 1.0) for n, better in enumerate(best_first) for worse in best_first[n + 1 :]]
    elif label.choice in VOTES:
        found = [(texts[0], texts[1], VOTES[label.choice])]
    else:
        found = []
    return [_Vote(label.pair_id, label.prompt, a, b, p_a, weight, ranked, label) for a, b, p_a in found if a != b]


def is_of_project(row: PreferenceRow, label_project_id: str) -> bool:
    """Whether an earlier set of the project's answers had this row."""
    return row.origin.startswith(_whose(label_project_id))


def _whose(label_project_id: str) -> str:
    """What the rows of a project say of where they come from, before the pair."""
    return f"label project {label_project_id}, "


def _row(votes: Sequence[_Vote], aggregate: bool) -> PreferenceRow:
    """All votes are on the same two texts, in either order."""
    first = votes[0]
    one, other = sorted((first.a, first.b))
    # Its id is of the texts in a fixed order and of whose row it is, so that it stays when votes change or come in.
    voice = first.label.label_project_id if aggregate else first.label.annotator_id
    origin = f"{_whose(first.label.label_project_id)}pair {first.pair_id}"
    row = human_row(Pair(first.prompt, one, other, annotators=(voice,)), origin)
    row = row_of_votes(row, [_cast(vote) for vote in votes])
    told = (*_shown(votes, row.chosen), *_ranked(votes), *_sent(first.label), *_comments(votes))
    return replace(row, tags=(*told, *row.tags))


def _cast(vote: _Vote) -> CastVote:
    p_first = vote.p_a if vote.a < vote.b else 1 - vote.p_a
    return CastVote(vote.label.annotator_id, vote.label.principle_id or "", p_first, vote.weight)


def _shown(votes: Sequence[_Vote], chosen: str) -> tuple[tuple[str, str], ...]:
    """Where the page showed the chosen reply, if all who picked one of the two saw it there."""
    seen = [vote.label for vote in votes if vote.label.choice in ("a", "b") and vote.label.order]
    places = {"first" if label.replies[label.order[0]] == chosen else "second" for label in seen}
    return tuple((CHOSEN_SHOWN, place) for place in places) if len(places) == 1 else ()


def _ranked(votes: Sequence[_Vote]) -> tuple[tuple[str, str], ...]:
    """The size of the ranking that the row is a part of; people rank the same replies."""
    most = max(vote.ranked for vote in votes)
    return ((RANKED, str(most)),) if most else ()


def _comments(votes: Sequence[_Vote]) -> tuple[tuple[str, str], ...]:
    """What people wrote beside their answers, each once; of several people with their ids."""
    people = {vote.label.annotator_id for vote in votes}
    told = dict.fromkeys((vote.label.annotator_id, vote.label.comment) for vote in votes if vote.label.comment)
    texts = [text if len(people) == 1 else f"{who}: {text}" for who, text in told]
    return ((COMMENT, "\n".join(texts)),) if texts else ()


def _sent(label: TaskLabel) -> tuple[tuple[str, str], ...]:
    """Why the pair was sent and its chance of that, for estimates over all pairs; nothing where all were."""
    if label.p_sent is None or label.routed_by == "all":
        return ()
    return (("routed_by", label.routed_by), ("p_sent", f"{label.p_sent:.6g}"))

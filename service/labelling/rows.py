"""Labels of a project as preference rows: one a pair and annotator, or one a pair with the share of the votes.

Training, gold and repeats measure people; they become no rows, but tell how reliable each person is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from judges.records import Conversation
from service.exchange.formats.extras import CHOSEN_SHOWN
from service.exchange.formats.pair import Pair
from service.exchange.preferences import human_row
from service.labelling.reliability import reliabilities
from service.labelling.votes import VOTES
from service.store.label_records import TaskLabel
from training.rows import PreferenceRow

# What a person's vote weighs: the same as anybody's, or by how often that person is right (reliability.py).
PeopleWeights = Literal["equal", "measured"]
_MEASURES = ("training", "gold", "repeat")


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
    """One person on two replies: `p_a` is 1 where the first is better, 0.5 for a tie. It counts `weight` times."""

    pair_id: str
    prompt: Conversation
    a: str
    b: str
    p_a: float
    weight: float
    label: TaskLabel


@dataclass(frozen=True, slots=True)
class _Say:
    """A vote in the order of its row's first one."""

    principle_id: str | None
    p_a: float
    weight: float


def rows_from_labels(labels: Sequence[TaskLabel], *, aggregate: bool, weights: PeopleWeights = "equal") -> LabelRows:
    """A person's votes on one pair under several principles are averaged; `per_principle` keeps each.

    Measured, a row weighs what its person does; an aggregated one has the mean weight of its votes, and its belief is
    their share by weight.
    """
    measured = {one.annotator_id: one.weight for one in reliabilities(labels)} if weights == "measured" else {}
    counted = [label for label in labels if label.routed_by not in _MEASURES]
    groups: dict[tuple[object, ...], list[_Vote]] = {}
    for label in counted:
        for vote in _votes(label, measured.get(label.annotator_id, 1.0)):
            person = "" if aggregate else label.annotator_id
            groups.setdefault((vote.prompt, *sorted((vote.a, vote.b)), person), []).append(vote)
    return LabelRows(
        rows=tuple(_row(votes) for votes in groups.values()),
        asks_revision=tuple(dict.fromkeys(label.pair_id for label in counted if label.choice == "both_bad")),
        skips=sum(label.choice == "skip" for label in counted),
        measuring=len(labels) - len(counted),
        weights=measured,
    )


def _votes(label: TaskLabel, weight: float) -> Iterable[_Vote]:
    """What the label says of each two replies; nothing of two that are the same text."""
    texts = label.replies
    if label.choice == "rewritten":
        found = [(label.rewrite, texts[0], 1.0)]
    elif label.choice == "ranked":
        best_first = [texts[place] for place in label.ranking]
        found = [(better, worse, 1.0) for n, better in enumerate(best_first) for worse in best_first[n + 1 :]]
    elif label.choice in VOTES:
        found = [(texts[0], texts[1], VOTES[label.choice])]
    else:
        found = []
    return [_Vote(label.pair_id, label.prompt, a, b, p_a, weight, label) for a, b, p_a in found if a != b]


def _row(votes: Sequence[_Vote]) -> PreferenceRow:
    """All votes are on the same two texts, in either order."""
    first = votes[0]
    says = [
        _Say(vote.label.principle_id, vote.p_a if vote.a == first.a else 1 - vote.p_a, vote.weight) for vote in votes
    ]
    p_a = _belief(says)
    a_wins = p_a >= 0.5
    people = tuple(dict.fromkeys(vote.label.annotator_id for vote in votes))
    chosen, rejected = (first.a, first.b) if a_wins else (first.b, first.a)
    row = human_row(
        Pair(
            first.prompt,
            chosen,
            rejected,
            p_chosen=p_a if a_wins else 1 - p_a,
            weight=math.fsum(say.weight for say in says) / len(says),
            annotators=people,
            tags=(*_shown(votes, chosen), *_sent(first.label)),
        ),
        f"label project {first.label.label_project_id}, pair {first.pair_id}",
    )
    return replace(row, per_principle=_per_principle(says, a_wins))


def _shown(votes: Sequence[_Vote], chosen: str) -> tuple[tuple[str, str], ...]:
    """Where the page showed the chosen reply, if all who picked one of the two saw it there."""
    seen = [vote.label for vote in votes if vote.label.choice in ("a", "b") and vote.label.order]
    places = {"first" if label.replies[label.order[0]] == chosen else "second" for label in seen}
    return tuple((CHOSEN_SHOWN, place) for place in places) if len(places) == 1 else ()


def _sent(label: TaskLabel) -> tuple[tuple[str, str], ...]:
    """Why the pair was sent and its chance of that, for estimates over all pairs; nothing where all were."""
    if label.p_sent is None or label.routed_by == "all":
        return ()
    return (("routed_by", label.routed_by), ("p_sent", f"{label.p_sent:.6g}"))


def _per_principle(says: Sequence[_Say], a_wins: bool) -> tuple[tuple[str, float], ...]:
    found: dict[str, list[_Say]] = {}
    for say in says:
        if say.principle_id is not None:
            found.setdefault(say.principle_id, []).append(say)
    beliefs = {principle: _belief(own) for principle, own in found.items()}
    return tuple((principle, p_a if a_wins else 1 - p_a) for principle, p_a in beliefs.items())


def _belief(says: Sequence[_Say]) -> float:
    """The share of the votes for the first text, by weight."""
    return math.fsum(say.weight * say.p_a for say in says) / math.fsum(say.weight for say in says)

"""Labels of a project as preference rows: one a pair and annotator, or one a pair with the share of the votes.

Training, gold and repeats measure people; they become no rows. Left out: weights by how reliable people are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from judges.records import Conversation
from service.exchange.formats.extras import CHOSEN_SHOWN
from service.exchange.formats.pair import Pair
from service.exchange.preferences import human_row
from service.store.label_records import TaskLabel
from training.rows import PreferenceRow

_MEASURES = ("training", "gold", "repeat")
_VOTES = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True, slots=True)
class LabelRows:
    """`asks_revision` are the pairs of which somebody said that both replies are bad; `skips` made nothing."""

    rows: tuple[PreferenceRow, ...]
    asks_revision: tuple[str, ...]
    skips: int
    measuring: int


@dataclass(frozen=True, slots=True)
class _Vote:
    """One person on two replies: `p_a` is 1 where the first is better, 0.5 for a tie."""

    pair_id: str
    prompt: Conversation
    a: str
    b: str
    p_a: float
    label: TaskLabel


def rows_from_labels(labels: Sequence[TaskLabel], *, aggregate: bool) -> LabelRows:
    """A person's votes on one pair under several principles are averaged; `per_principle` keeps each."""
    counted = [label for label in labels if label.routed_by not in _MEASURES]
    groups: dict[tuple[object, ...], list[_Vote]] = {}
    for label in counted:
        for vote in _votes(label):
            person = "" if aggregate else label.annotator_id
            groups.setdefault((vote.prompt, *sorted((vote.a, vote.b)), person), []).append(vote)
    return LabelRows(
        rows=tuple(_row(votes) for votes in groups.values()),
        asks_revision=tuple(dict.fromkeys(label.pair_id for label in counted if label.choice == "both_bad")),
        skips=sum(label.choice == "skip" for label in counted),
        measuring=len(labels) - len(counted),
    )


def _votes(label: TaskLabel) -> Iterable[_Vote]:
    """What the label says of each two replies; nothing of two that are the same text."""
    texts = label.replies
    if label.choice == "rewritten":
        found = [(label.rewrite, texts[0], 1.0)]
    elif label.choice == "ranked":
        best_first = [texts[place] for place in label.ranking]
        found = [(better, worse, 1.0) for n, better in enumerate(best_first) for worse in best_first[n + 1 :]]
    elif label.choice in _VOTES:
        found = [(texts[0], texts[1], _VOTES[label.choice])]
    else:
        found = []
    return [_Vote(label.pair_id, label.prompt, a, b, p_a, label) for a, b, p_a in found if a != b]


def _row(votes: Sequence[_Vote]) -> PreferenceRow:
    """All votes are on the same two texts, in either order."""
    first = votes[0]
    says = [(vote.label.principle_id, vote.p_a if vote.a == first.a else 1 - vote.p_a) for vote in votes]
    p_a = sum(p for _, p in says) / len(says)
    a_wins = p_a >= 0.5
    people = tuple(dict.fromkeys(vote.label.annotator_id for vote in votes))
    chosen, rejected = (first.a, first.b) if a_wins else (first.b, first.a)
    row = human_row(
        Pair(first.prompt, chosen, rejected, max(p_a, 1 - p_a), 1.0, people, tags=_shown(votes, chosen)),
        f"label project {first.label.label_project_id}, pair {first.pair_id}",
    )
    return replace(row, per_principle=_per_principle(says, a_wins))


def _shown(votes: Sequence[_Vote], chosen: str) -> tuple[tuple[str, str], ...]:
    """Where the page showed the chosen reply, if all who picked one of the two saw it there."""
    seen = [vote.label for vote in votes if vote.label.choice in ("a", "b") and vote.label.order]
    places = {"first" if label.replies[label.order[0]] == chosen else "second" for label in seen}
    return tuple((CHOSEN_SHOWN, place) for place in places) if len(places) == 1 else ()


def _per_principle(says: Sequence[tuple[str | None, float]], a_wins: bool) -> tuple[tuple[str, float], ...]:
    found: dict[str, list[float]] = {}
    for principle, p_a in says:
        if principle is not None:
            found.setdefault(principle, []).append(p_a if a_wins else 1 - p_a)
    return tuple((principle, sum(beliefs) / len(beliefs)) for principle, beliefs in found.items())

"""What people said of a pair as one number: 1 where A is better, 0 where B is, 0.5 for a tie, or the mean of many."""

import math
from collections.abc import Iterable, Mapping, Sequence

from service.labelling.sources import SourcePair
from service.store.label_records import TaskLabel

VOTES: Mapping[str, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}


def drawn_by_lot(labels: Sequence[TaskLabel]) -> list[TaskLabel]:
    """Answers to the random part. Where all pairs were sent, all: people come to those in an order of chance."""
    return [label for label in labels if label.routed_by == "random"] or [
        label for label in labels if label.routed_by == "all"
    ]


def votes_on_comparisons(labels: Iterable[TaskLabel]) -> dict[str, float]:
    """By pair id, of labels on two replies."""
    said: dict[str, list[float]] = {}
    for label in labels:
        if label.choice in VOTES:
            said.setdefault(label.pair_id, []).append(VOTES[label.choice])
    return _means(said)


def votes_on(labels: Iterable[TaskLabel], pairs: Sequence[SourcePair]) -> dict[str, float]:
    """By pair id. A pair that was only skipped, or whose replies are both bad, has no vote; rewriting is none."""
    of_pair = {pair.pair_id: (pair,) for pair in pairs}
    of_prompt: dict[str, list[SourcePair]] = {}
    for pair in pairs:
        of_prompt.setdefault(pair.prompt_id, []).append(pair)
    said: dict[str, list[float]] = {}
    for label in labels:
        if label.choice == "ranked":
            place = {label.replies[reply]: number for number, reply in enumerate(label.ranking)}
            for pair in of_prompt.get(label.pair_id, ()):
                if pair.a in place and pair.b in place:
                    said.setdefault(pair.pair_id, []).append(float(place[pair.a] < place[pair.b]))
        elif label.choice in VOTES and label.pair_id in of_pair:
            said.setdefault(label.pair_id, []).append(VOTES[label.choice])
    return _means(said)


def _means(said: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {pair_id: math.fsum(votes) / len(votes) for pair_id, votes in said.items()}

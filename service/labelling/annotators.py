"""One annotator's work in numbers: right on gold, with the others, quick, leaning to a side, changing, repeating.

The others are those with an answer to the same question; their majority is taken without the annotator. Of a ranking it
is the share of its pairs that counts (rankings.py). Left out: what follows from the numbers, which is a weight
(reliability.py), never the loss of a label.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from service.labelling.agreement import (
    FEWEST,
    Choices,
    Question,
    comparisons,
    majority,
    question_of,
    rate,
    too_few,
)
from service.labelling.drift import Answered, drift, over_time
from service.labelling.figures import AnnotatorQuality
from service.labelling.rankings import Rankings, alike, alike_most, rankings_in
from service.labelling.skimming import is_quick
from service.store.label_records import TaskLabel

Said = TypeVar("Said")


def annotator_quality(
    annotator_id: str, labels: Sequence[TaskLabel], choices: Choices, rankings: Rankings, weight: float
) -> AnnotatorQuality:
    """`labels` are the project's, in order of time; `choices` and `rankings` everybody's first ones."""
    own = [label for label in labels if label.annotator_id == annotator_id]
    trained, mine = [label for label in own if label.training], [label for label in own if not label.training]
    chosen = comparisons(mine)
    gold = [Answered(label, label.choice == label.gold) for label in chosen if label.gold is not None]
    ranked = rankings_in(mine)
    followed = [*_followed(annotator_id, chosen, choices), *_followed_orders(annotator_id, ranked, rankings)]
    sides = [_took_first(label) for label in chosen if label.choice in ("a", "b")]
    timed = _timed(mine)
    repeats = [*_repeats(chosen), *_repeated_orders(ranked)]
    return AnnotatorQuality(
        annotator_id=annotator_id,
        training=len(trained),
        training_right=sum(label.choice == label.gold for label in trained),
        labels=sum(label.choice != "skip" for label in mine),
        skips=sum(label.choice == "skip" for label in mine),
        gold_accuracy=rate(sum(one.right for one in gold), len(gold), "gold answers"),
        with_majority=rate(sum(one.right for one in followed), len(followed), "answers beside a majority of others"),
        median_seconds=(
            median(label.seconds for label in timed) if len(timed) >= FEWEST else too_few(len(timed), "timed answers")
        ),
        quick_share=rate(sum(is_quick(label) for label in timed), len(timed), "timed answers"),
        first_share=rate(sum(sides), len(sides), "choices of one reply"),
        drift=drift(gold, followed),
        over_time=over_time(mine, gold, followed, timed),
        repeats=rate(sum(repeats), len(repeats), "repeated questions"),
        weight=weight,
    )


def seconds_per_label(labels: Sequence[TaskLabel], otherwise: float) -> float:
    """The median over all annotators, without training and skips; `otherwise` where fewer than ten were timed."""
    timed = _timed([label for label in labels if not label.training])
    return median(label.seconds for label in timed) if len(timed) >= FEWEST else otherwise


def _timed(labels: Sequence[TaskLabel]) -> list[TaskLabel]:
    return [label for label in labels if label.seconds > 0 and label.choice != "skip"]


def _took_first(label: TaskLabel) -> bool:
    shown_first = "a" if label.order[0] == 0 else "b"
    return label.choice == shown_first


def _followed(annotator_id: str, chosen: Sequence[TaskLabel], choices: Choices) -> list[Answered]:
    """Once a question, in order of time: the same choice as most of the others?"""
    found = [
        (label, majority(_by_others(annotator_id, question, choices))) for question, (label, *_) in _by_question(chosen)
    ]
    return [Answered(label, label.choice == most) for label, most in found if most is not None]


def _followed_orders(annotator_id: str, ranked: Sequence[TaskLabel], rankings: Rankings) -> list[Answered]:
    """Once a question, in order of time: how much of it in the order of most of the others?"""
    found = [
        (label, alike_most(label.ranking, _by_others(annotator_id, question, rankings)))
        for question, (label, *_) in _by_question(ranked)
    ]
    return [Answered(label, share) for label, share in found if share is not None]


def _repeats(chosen: Sequence[TaskLabel]) -> list[float]:
    """Each later answer to a question beside the first one."""
    return [again.choice == first.choice for _, (first, *later) in _by_question(chosen) for again in later]


def _repeated_orders(ranked: Sequence[TaskLabel]) -> list[float]:
    return [alike(first.ranking, again.ranking) for _, (first, *later) in _by_question(ranked) for again in later]


def _by_question(labels: Sequence[TaskLabel]) -> Iterable[tuple[Question, list[TaskLabel]]]:
    """One annotator's answers to each question, in order of time."""
    found: dict[Question, list[TaskLabel]] = defaultdict(list)
    for label in labels:
        found[question_of(label)].append(label)
    return found.items()


def _by_others(annotator_id: str, question: Question, answers: Mapping[str, Mapping[Question, Said]]) -> list[Said]:
    return [said[question] for who, said in answers.items() if who != annotator_id and question in said]

"""One annotator's work in numbers: right on gold, with the others, quick, leaning to a side, changing, repeating.

The others are those with an answer to the same question; their majority is taken without the annotator. Left out:
what follows from the numbers, which is a weight (reliability.py), never the loss of a label.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

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
from service.store.label_records import TaskLabel

# Nobody reads 15 words a second: 200 to 400 a minute is usual (Rayner et al. 2016), so this is skimming at the best.
WORDS_PER_SECOND = 15.0
LEAST_SECONDS = 1.0


def annotator_quality(
    annotator_id: str, labels: Sequence[TaskLabel], choices: Choices, weight: float
) -> AnnotatorQuality:
    """`labels` are the project's, in order of time; `choices` everybody's first ones."""
    mine = [label for label in labels if label.annotator_id == annotator_id and not label.training]
    chosen = comparisons(mine)
    gold = [Answered(label, label.choice == label.gold) for label in chosen if label.gold is not None]
    followed = _followed(annotator_id, chosen, choices)
    sides = [_took_first(label) for label in chosen if label.choice in ("a", "b")]
    timed = _timed(mine)
    repeats = _repeats(chosen)
    return AnnotatorQuality(
        annotator_id=annotator_id,
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


def is_quick(label: TaskLabel) -> bool:
    """Faster than the replies can be skimmed, or than a second. The prompt is not counted: it may be known."""
    words = sum(len(reply.split()) for reply in label.replies)
    return label.seconds < max(LEAST_SECONDS, words / WORDS_PER_SECOND)


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
    seen: set[Question] = set()
    followed: list[Answered] = []
    for label in chosen:
        question = question_of(label)
        if question in seen:
            continue
        seen.add(question)
        others = [said[question] for who, said in choices.items() if who != annotator_id and question in said]
        if (most := majority(others)) is not None:
            followed.append(Answered(label, label.choice == most))
    return followed


def _repeats(chosen: Sequence[TaskLabel]) -> list[bool]:
    """Each later answer to a question beside the first one."""
    said: dict[Question, list[str]] = defaultdict(list)
    for label in chosen:
        said[question_of(label)].append(label.choice)
    return [again == answers[0] for answers in said.values() for again in answers[1:]]

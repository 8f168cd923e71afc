"""How far people agree beyond chance, and how far a judge agrees with them, from choices of one project.

Krippendorff's alpha is the library's, nominal over choices. Rankings are compared in rankings.py.
Cohen's kappa is `judges.calibration.agreement`'s. What too few labels allow is Unknown, with the reason, never 0.

Which reply is called a is the source's choice: in a preference set it is the chosen one. Were it to count, people who
are right would nearly always say a, and chance would seem to agree as often as they do. So for both every question is
counted twice, once with the names of its replies exchanged: a and b then are equally frequent.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from judges.calibration.agreement import cohen_kappa
from judges.errors import Undefined
from judges.intervals import wilson
from service.labelling.figures import Number, PairAgreement, Rate, Unknown
from service.store.label_records import Choice, TaskLabel

FEWEST = 10
_SHARED = "questions with two answers"
CHOICES: tuple[Choice, ...] = ("a", "b", "tie", "both_bad")
_EXCHANGED = {"a": "b", "b": "a"}
# What was asked: a pair, under a principle or overall.
Question = tuple[str, str | None]
# Each annotator's first choice on each question.
Choices = Mapping[str, Mapping[Question, str]]


def too_few(found: int, what: str) -> Unknown:
    """The one wording for a lack of labels."""
    return Unknown(f"too few: {found} {what}, {FEWEST} are needed")


def rate(right: float, of: int, what: str) -> Rate:
    """Wilson's interval for `right` of `of`, from ten on."""
    return wilson(right, of) if of >= FEWEST else too_few(of, what)


def question_of(label: TaskLabel) -> Question:
    """Pair and principle: the same question may be asked in several tasks."""
    return label.pair_id, label.principle_id


def in_order(labels: Sequence[TaskLabel]) -> tuple[TaskLabel, ...]:
    """By time, so that no result hangs on the order in which labels were read."""
    return tuple(sorted(labels, key=lambda label: (label.created_at, label.label_id)))


def comparisons(labels: Sequence[TaskLabel]) -> tuple[TaskLabel, ...]:
    """The choices that measure anything: no skips, and no training tasks, which are there to be got wrong."""
    return tuple(
        label
        for label in in_order(labels)
        if label.kind == "compare" and label.choice in CHOICES and not label.training
    )


def first_choices(labels: Sequence[TaskLabel]) -> Choices:
    """What each annotator said of each question the first time."""
    found: dict[str, dict[Question, str]] = defaultdict(dict)
    for label in comparisons(labels):
        found[label.annotator_id].setdefault(question_of(label), label.choice)
    return found


def ungraded(labels: Sequence[TaskLabel]) -> list[TaskLabel]:
    """Without gold, which everybody gets and most get right: agreement on it would say how easy it is."""
    return [label for label in labels if label.gold is None]


def majority(said: Sequence[str]) -> str | None:
    """The choice named most often; None where nobody answered or two choices share the first place."""
    ranked = Counter(said).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def nominal_alpha(choices: Choices) -> Number:
    """Krippendorff's alpha of the choices; 1 is full agreement, 0 that of chance."""
    counts: dict[Question, Counter[str]] = defaultdict(Counter)
    for mine in choices.values():
        for question, choice in mine.items():
            counts[question][choice] += 1
    shared = [count for count in counts.values() if count.total() > 1]
    if len(shared) < FEWEST:
        return too_few(len(shared), _SHARED)
    named = [[count[choice] for choice in CHOICES] for count in shared]
    exchanged = [[count[_EXCHANGED.get(choice, choice)] for choice in CHOICES] for count in shared]
    return alpha_of_counts([*named, *exchanged], "nominal")


def pair_agreements(choices: Choices) -> tuple[PairAgreement, ...]:
    """Every two annotators who share a question."""
    return tuple(
        agreement
        for first, second in combinations(sorted(choices), 2)
        if (agreement := _pair(first, second, choices)).shared > 0
    )


def kappa(first: Sequence[str], second: Sequence[str], what: str) -> Number:
    """Cohen's kappa of two raters' choices on the same questions."""
    if len(first) < FEWEST:
        return too_few(len(first), what)
    try:
        return cohen_kappa([*first, *_exchanged(first)], [*second, *_exchanged(second)])
    except Undefined as error:
        return Unknown(str(error))


def alpha_of_counts(counts: Sequence[Sequence[int]], level: Literal["nominal", "ordinal"]) -> Number:
    """Krippendorff's alpha from how often each value was given to each unit; a unit with one answer says nothing."""
    shared = [row for row in counts if sum(row) > 1]
    if len(shared) < FEWEST:
        return too_few(len(shared), _SHARED)
    used = [value for value in range(len(shared[0])) if any(row[value] for row in shared)]
    if len(used) < 2:
        return Unknown("every shared answer is the same; agreement beyond chance has no value")
    import krippendorff  # when a report is asked for, not at the start

    table = np.array([[row[value] for value in used] for row in shared])
    alpha = float(krippendorff.alpha(value_counts=table, value_domain=used, level_of_measurement=level))
    return alpha if math.isfinite(alpha) else Unknown("the library gives no value for these answers")


def _exchanged(said: Sequence[str]) -> list[str]:
    return [_EXCHANGED.get(choice, choice) for choice in said]


def _pair(first: str, second: str, choices: Choices) -> PairAgreement:
    shared = sorted(choices[first].keys() & choices[second].keys(), key=str)
    said, also = ([choices[who][question] for question in shared] for who in (first, second))
    same = sum(a == b for a, b in zip(said, also, strict=True))
    return PairAgreement(
        first, second, len(shared), rate(same, len(shared), "shared answers"), kappa(said, also, "shared answers")
    )

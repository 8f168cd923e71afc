"""How one annotator's work changes: right on gold, with the others, and seconds, from half to half and by windows.

A window is twenty answers in a row that the measure can be taken of, so that each has an interval worth showing; what
is left at the end is a window of its own from ten on, and joins the last one below. Left out: a test of a trend.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeVar

from judges.intervals import Interval, wilson
from service.labelling.agreement import FEWEST, rate
from service.labelling.figures import Drift, OverTime, Unknown, Window
from service.store.label_records import TaskLabel

WINDOW = 20
_TAIL = 0.025
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that something is known of: what is right, or what most of the others say.

    `right` is 1 or 0, of a ranking the share of its pairs.
    """

    label: TaskLabel
    right: float


def drift(gold: Sequence[Answered], followed: Sequence[Answered]) -> Drift | Unknown:
    """On gold where both halves have enough of it, else by agreement."""
    measures: tuple[tuple[Literal["gold", "agreement"], Sequence[Answered]], ...] = (
        ("gold", gold),
        ("agreement", followed),
    )
    for measure, answers in measures:
        half = len(answers) // 2
        first, last = (
            rate(sum(one.right for one in part), len(part), "answers") for part in (answers[:half], answers[half:])
        )
        if isinstance(first, Interval) and isinstance(last, Interval):
            return Drift(measure, first, last, *difference(first, last))
    return Unknown(f"too few: {max(len(gold), len(followed))} answers to compare, {2 * FEWEST} are needed")


def over_time(
    mine: Sequence[TaskLabel], gold: Sequence[Answered], followed: Sequence[Answered], timed: Sequence[TaskLabel]
) -> OverTime:
    """`mine` are all of the annotator's labels; all are in order of time."""
    number = {label.label_id: place for place, label in enumerate(mine, start=1)}
    return OverTime(
        gold=_windows(gold, _right, lambda one: number[one.label.label_id]),
        agreement=_windows(followed, _right, lambda one: number[one.label.label_id]),
        seconds=_windows(timed, _seconds, lambda label: number[label.label_id]),
    )


def difference(first: Interval, last: Interval) -> tuple[float, float, float]:
    """last - first with its 95 % bounds, from the intervals of two independent rates (Newcombe 1998, method 10)."""
    change = last.estimate - first.estimate
    down = math.hypot(last.estimate - last.low, first.high - first.estimate)
    up = math.hypot(last.high - last.estimate, first.estimate - first.low)
    return change, change - down, change + up


def median_interval(values: Sequence[float]) -> Interval:
    """The median between two of the values, as far in as the binomial of one half lets 95 % stay (no shape assumed)."""
    ranked, n = sorted(values), len(values)
    outside, below = 0, 0.0
    while (below := below + math.comb(n, outside) / 2**n) <= _TAIL:
        outside += 1
    lowest = max(0, outside - 1)
    return Interval(median(ranked), ranked[lowest], ranked[n - 1 - lowest])


def _windows(
    answers: Sequence[Item], measured: Callable[[Sequence[Item]], Interval], number: Callable[[Item], int]
) -> tuple[Window, ...]:
    """None of fewer than `WINDOW` answers."""
    if len(answers) < WINDOW:
        return ()
    begins = list(range(0, len(answers) - WINDOW + 1, WINDOW))
    if len(answers) - begins[-1] - WINDOW >= FEWEST:
        begins.append(begins[-1] + WINDOW)
    parts = [answers[begin:end] for begin, end in zip(begins, [*begins[1:], len(answers)], strict=True)]
    return tuple(Window(number(part[0]), number(part[-1]), len(part), measured(part)) for part in parts)


def _right(answers: Sequence[Answered]) -> Interval:
    return wilson(sum(one.right for one in answers), len(answers))


def _seconds(labels: Sequence[TaskLabel]) -> Interval:
    return median_interval([label.seconds for label in labels])

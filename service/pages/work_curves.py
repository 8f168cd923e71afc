"""Each annotator's work over time as small curves: points and bands of pictures that need no script. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.labelling.figures import AnnotatorQuality, Window
from service.pages.formats import percent

WIDTH, HEIGHT = 220, 64


@dataclass(frozen=True, slots=True)
class WorkPoint:
    """A window in the picture, and in words."""

    x: float
    y: float
    said: str


@dataclass(frozen=True, slots=True)
class WorkCurve:
    """`line` and `band`, which shows the intervals, are points as SVG takes them; empty where there is nothing yet."""

    measure: str
    points: tuple[WorkPoint, ...]
    line: str
    band: str
    top: str


@dataclass(frozen=True, slots=True)
class Work:
    """One annotator's curves, beside each other; all annotators' have the same scales."""

    annotator_id: str
    curves: tuple[WorkCurve, ...]


def work_of(annotators: Sequence[AnnotatorQuality]) -> tuple[Work, ...]:
    """Of those who have answered enough for one window."""
    shown = [one for one in annotators if one.over_time.gold or one.over_time.agreement or one.over_time.seconds]
    labels = max((window.last for one in shown for window in _all(one)), default=1)
    slowest = max((window.value.high for one in shown for window in one.over_time.seconds), default=1.0) or 1.0
    return tuple(
        Work(
            one.annotator_id,
            (
                _curve("Right on gold", one.over_time.gold, labels, 1.0),
                _curve("With the majority", one.over_time.agreement, labels, 1.0),
                _curve("Median seconds", one.over_time.seconds, labels, slowest),
            ),
        )
        for one in shown
    )


def _all(one: AnnotatorQuality) -> tuple[Window, ...]:
    return (*one.over_time.gold, *one.over_time.agreement, *one.over_time.seconds)


def _curve(measure: str, windows: Sequence[Window], labels: int, most: float) -> WorkCurve:
    def x(window: Window) -> float:
        return round(WIDTH * (window.first + window.last) / 2 / labels, 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - value / most), 1)

    is_share = measure != "Median seconds"
    points = tuple(WorkPoint(x(one), y(one.value.estimate), _said(one, is_share)) for one in windows)
    upper = [f"{x(one)},{y(one.value.high)}" for one in windows]
    lower = [f"{x(one)},{y(one.value.low)}" for one in windows]
    return WorkCurve(
        measure=measure,
        points=points,
        line=" ".join(f"{point.x},{point.y}" for point in points),
        band=" ".join((*upper, *reversed(lower))),
        top="100 %" if is_share else f"{most:.3g} s",
    )


def _said(window: Window, is_share: bool) -> str:
    values = (window.value.estimate, window.value.low, window.value.high)
    estimate, low, high = (percent(value) if is_share else f"{value:.1f} s" for value in values)
    return f"labels {window.first} to {window.last}: {estimate} ({low} to {high}, {window.answers} answers)"

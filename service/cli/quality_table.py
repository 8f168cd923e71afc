"""`charter label quality`: how far people agree, each annotator and the judge, as tables."""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from judges.intervals import Interval
from service.demo.tables import percent, points
from service.labelling.figures import AnnotatorQuality, Drift, Number, QualityReport, Rate, Unknown

_WIDEST = 160
_HEADS = ("who", "labels", "skips", "gold", "majority", "seconds", "quick", "first", "drift", "repeats", "weight")
_LEGEND = """gold: right where the right choice is known; majority: with most of the others. quick: faster than the text
can be read. first: took the reply shown first (50 % is unbiased). drift: points from the first half to the last.
repeats: the same answer to the same question again. weight: what a label counts by `weights: measured`. -: too few."""


def print_quality(report: QualityReport, names: Mapping[str, str]) -> None:
    """`names` are people's, by annotator id. Why a number is missing stands below the table."""
    console = Console(width=_WIDEST, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{report.labels} labels, {report.skips} skips, {report.training} training answers; "
        f"{report.questions} questions, {report.overlapping} of them answered by two people or more"
    )
    for name, found in (("alpha", report.alpha), ("alpha of rankings", report.ranking_alpha)):
        console.print(f"Krippendorff's {name}: {_number_or_reason(found)}")
    table = Table(*_HEADS, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[1:]:
        column.no_wrap, column.justify = True, "right"
    for one in report.annotators:
        table.add_row(names.get(one.annotator_id, one.annotator_id), *_cells(one))
    if report.annotators:
        console.print(table)
        console.print(_LEGEND)
    judge = report.judge
    if judge.questions:
        console.print(
            f"judge on {judge.questions} of these questions, {judge.ties} left open: "
            f"gold {_rate(judge.gold_accuracy)}, with people's majority {_rate(judge.with_majority)}, "
            f"kappa {_number(judge.kappa)}, alpha with it {_number(judge.alpha)}"
        )
    for estimate in judge.estimated:
        under = f" under {estimate.principle_id}" if estimate.principle_id else ""
        told = estimate.accuracy.reason if isinstance(estimate.accuracy, Unknown) else _rate(estimate.accuracy)
        console.print(f"judge on all pairs{under}, by {estimate.labels} labelled ones of the random part: {told}")


def _cells(one: AnnotatorQuality) -> tuple[str, ...]:
    return (
        *(str(one.labels), str(one.skips), _rate(one.gold_accuracy), _rate(one.with_majority)),
        *(_number(one.median_seconds, 1), _rate(one.quick_share), _rate(one.first_share)),
        *(_drift(one.drift), _rate(one.repeats), f"{one.weight:.2f}"),
    )


def _rate(found: Rate) -> str:
    if isinstance(found, Interval):
        return f"{percent(found.estimate)} ({percent(found.low)[:-2]}-{percent(found.high)[:-2]})"
    return "-"


def _number(found: Number, digits: int = 2) -> str:
    return "-" if isinstance(found, Unknown) else f"{found:.{digits}f}"


def _number_or_reason(found: Number) -> str:
    return found.reason if isinstance(found, Unknown) else f"{found:.2f}"


def _drift(found: Drift | Unknown) -> str:
    return (
        "-" if isinstance(found, Unknown) else f"{points(found.change)} ({points(found.low)} to {points(found.high)})"
    )

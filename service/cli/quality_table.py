"""`charter label quality`: how far people agree, each annotator and the judge, as tables, and windows of their work."""

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from judges.intervals import Interval
from service.demo.tables import percent, points
from service.labelling.figures import AnnotatorQuality, Drift, Number, PairAgreement, QualityReport, Rate, Unknown

_WIDEST = 160
_OF_WORK = ("gold", "majority", "seconds", "quick", "first", "drift", "repeats", "weight")
_HEADS = ("who", "training", "labels", "skips", *_OF_WORK)
_LEGEND = """training: right in the training round. gold: right where the right choice is known; majority: with most of
the others. quick: faster than the text can be read. first: took the reply shown first (50 % is unbiased). drift: points
from the first half to the last. repeats: the same answer to the same question again; of rankings, as the majority, the
pairs in the same order. weight: what a label counts by `weights: measured`. -: too few."""


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
    if report.pairs:
        _print_pairs(console, report.pairs, names)
    if lines := [line for one in report.annotators for line in _over_time(names, one)]:
        console.print("Over time, by windows of twenty answers, with 95 % intervals:")
        console.print("\n".join(lines))
    judge = report.judge
    if judge.questions:
        console.print(
            f"judge on {judge.questions} questions, {judge.ties} left open: "
            f"right on gold {_rate(judge.gold_accuracy)}, "
            f"with people's majority {_rate(judge.with_majority)}, kappa {_number(judge.kappa)}, "
            f"alpha with it {_number(judge.alpha)}"
        )
    for estimate in judge.estimated:
        under = f" under {estimate.principle_id}" if estimate.principle_id else ""
        told = estimate.accuracy.reason if isinstance(estimate.accuracy, Unknown) else _rate(estimate.accuracy)
        console.print(f"judge on all pairs{under}, by {estimate.labels} labelled ones of the random part: {told}")


def _print_pairs(console: Console, pairs: Sequence[PairAgreement], names: Mapping[str, str]) -> None:
    """Each two people in a line, but for those who share too few questions: these are counted."""
    told = [pair for pair in pairs if isinstance(pair.agreement, Interval)]
    table = Table("each two people", "", "shared", "the same", "kappa", box=box.SIMPLE_HEAD, pad_edge=False)
    for pair in told:
        who = (names.get(one, one) for one in (pair.first, pair.second))
        table.add_row(*who, str(pair.shared), _rate(pair.agreement), _number(pair.kappa))
    if told:
        console.print(table)
    if few := len(pairs) - len(told):
        console.print(f"{few} pairs of people share too few questions to compare them")


def _cells(one: AnnotatorQuality) -> tuple[str, ...]:
    return (
        f"{one.training_right} of {one.training}" if one.training else "-",
        *(str(one.labels), str(one.skips), _rate(one.gold_accuracy), _rate(one.with_majority)),
        *(_number(one.median_seconds, 1), _rate(one.quick_share), _rate(one.first_share)),
        *(_drift(one.drift), _rate(one.repeats), f"{one.weight:.2f}"),
    )


def _over_time(names: Mapping[str, str], one: AnnotatorQuality) -> Iterator[str]:
    """A line for each measure with answers enough; a window is named by the numbers of its first and last label."""
    who, found = names.get(one.annotator_id, one.annotator_id), one.over_time
    measures = (("right on gold", found.gold, _rate), ("with the majority", found.agreement, _rate))
    for measure, windows, said in (*measures, ("median seconds", found.seconds, _seconds)):
        if windows:
            parts = (f"labels {window.first} to {window.last}: {said(window.value)}" for window in windows)
            yield f"{who}, {measure}: {'; '.join(parts)}"


def _rate(found: Rate) -> str:
    if isinstance(found, Interval):
        return f"{percent(found.estimate)} ({percent(found.low)[:-2]}-{percent(found.high)[:-2]})"
    return "-"


def _seconds(found: Interval) -> str:
    return f"{found.estimate:.1f} s ({found.low:.1f}-{found.high:.1f})"


def _number(found: Number, digits: int = 2) -> str:
    return "-" if isinstance(found, Unknown) else f"{found:.{digits}f}"


def _number_or_reason(found: Number) -> str:
    return found.reason if isinstance(found, Unknown) else f"{found:.2f}"


def _drift(found: Drift | Unknown) -> str:
    return (
        "-" if isinstance(found, Unknown) else f"{points(found.change)} ({points(found.low)} to {points(found.high)})"
    )

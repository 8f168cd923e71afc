"""An examination as a page: a row for each principle and slice, and below them why a statistic has no value."""

from rich import box
from rich.console import Console
from rich.table import Table

from judges.measures import Measures
from service.demo.tables import percent
from service.exchange.examination import Examination

_HEADS = (
    *("principle", "slice", "verdict", "answered", "accuracy", "longest", "same", "both", "first"),
    *("length", "mass", "kappa", "ECE", "Brier"),
)
_WIDEST = 160
_LEGEND = """accuracy: with its 95 % interval; beside it `longest`, how often the longer reply is the better one.
same: both orders name one winner; both: and it is right; first: the reply shown first wins (50 % is unbiased).
length: what length adds to the belief once the label is known (-1 to 1, 0 is unbiased). mass: probability on any
choice token."""


def print_examination(examination: Examination) -> None:
    """Wide tables are not cut: a narrow terminal wraps their lines. A principle without examples has no row."""
    table = Table(*_HEADS, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[2:]:
        column.no_wrap, column.justify = True, "right"
    notes: dict[str, list[str]] = {}
    for one in examination.slices:
        if one.measures is not None and one.examples:
            table.add_row(one.principle_id, one.slice, one.verdict.replace("_", " "), *_cells(one.measures))
            for note in _notes(one.measures):
                notes.setdefault(note, []).append(f"{one.principle_id} ({one.slice})")
    if table.row_count:
        console = Console(width=_WIDEST, markup=False, highlight=False, soft_wrap=True)
        console.print(table)
        console.print(_LEGEND)
        for note, places in notes.items():
            console.print(f"{', '.join(places)}: {note}")


def _cells(found: Measures) -> tuple[str, ...]:
    interval = f"{percent(found.low)[:-2]}-{percent(found.high)[:-2]}"
    accuracy = "-" if found.accuracy.value is None else f"{percent(found.accuracy.value)} ({interval})"
    shares = (found.longest_wins, found.consistency, found.consistent_and_correct, found.first_pick_rate)
    numbers = (found.length_bias, found.label_mass, found.kappa, found.ece, found.brier)
    return (
        f"{found.answered}/{found.examples}",
        accuracy,
        *("-" if one.value is None else percent(one.value) for one in shares),
        *("-" if one.value is None else f"{one.value:.2f}" for one in numbers),
    )


def _notes(found: Measures) -> list[str]:
    """What was not answered, and why a statistic has no value; where nothing was answered, the one says the other."""
    named = (
        *(("accuracy", found.accuracy), ("length", found.length_bias), ("kappa", found.kappa)),
        *(("ECE", found.ece), ("Brier", found.brier), ("longest", found.longest_wins)),
    )
    causes = ", ".join(f"{count} {cause}" for cause, count in found.abstentions.items())
    missing = [f"no {name}: {one.reason}" for name, one in named if one.value is None] if found.answered else []
    return [*([f"no answer to {causes}"] if causes else []), *missing]

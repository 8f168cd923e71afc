"""How numbers, times and sizes are written on the pages."""

import time
from datetime import datetime


def percent(share: float) -> str:
    """0.125 as `12.5 %`."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A difference of shares with its sign, in points of a hundred."""
    return f"{100 * share:+.1f}"


def number(value: float) -> str:
    """Whole numbers with their thousands apart, others with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def span(seconds: float) -> str:
    """The two largest units: `2 h 5 min`, `45 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if whole >= size)
    (name, size), (next_name, next_size) = units[first], units[first + 1]
    rest = whole % size // next_size
    return f"{whole // size} {name}" + (f" {rest} {next_name}" if rest else "")


def age(at: str, now: float | None = None) -> str:
    """How long ago, in its largest unit."""
    passed = (time.time() if now is None else now) - datetime.fromisoformat(at).timestamp()
    return "just now" if passed < 5 else f"{' '.join(span(passed).split()[:2])} ago"


def moment(at: str) -> str:
    """A time of the store, to the second."""
    return at[:19].replace("T", " ") + " UTC"


def size(count_bytes: int) -> str:
    """In units of a thousand."""
    value = float(count_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


FILTERS = {
    "percent": percent,
    "points": points,
    "number": number,
    "span": span,
    "age": age,
    "moment": moment,
    "size": size,
}

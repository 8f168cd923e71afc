"""A training's metrics as curves: one chart a measure, with the held-out one beside it. Pure functions.

Left out: rates and clocks, which tell nothing of the policy.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.store.records import EventRecord

_HELD_OUT = "held_out_"
_NO_CURVE = ("step", "seconds", "lr", "tokens_per_s", "done", "total")
# What people look at first; all others follow by name.
_FIRST = ("loss", "score", "reward", "kl", "accuracy", "margin")
_ROWS = 40


@dataclass(frozen=True, slots=True)
class Series:
    """One line; a step at which it was not measured holds None."""

    label: str
    values: tuple[float | None, ...]

    @property
    def known(self) -> tuple[float, ...]:
        return tuple(value for value in self.values if value is not None)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same steps, as many as the measure has: in training, held out, and of each candidate."""

    name: str
    steps: tuple[int, ...]
    series: tuple[Series, ...]


def charts_of(events: Sequence[EventRecord]) -> tuple[Chart, ...]:
    """Of metric events, in their order. What else than numbers stands in them is taken for the candidate's name."""
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    swept = _swept_knobs(events)
    for event in events:
        step = event.data.get("step", event.done)
        if not isinstance(step, int):
            continue
        candidate = "".join(f", {knob} {event.data[knob]}" for knob in swept if knob in event.data)
        for name, value in event.data.items():
            if name in _NO_CURVE or name in swept or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            label = name.replace("_", " ") + candidate
            found[name.removeprefix(_HELD_OUT)][label][step] = float(value)
    return tuple(_chart(name, found[name]) for name in sorted(found, key=_rank))


def table_steps(chart: Chart) -> tuple[int, ...]:
    """The places in `steps` that a table shows: some 40, evenly, with the last one."""
    apart = -(-len(chart.steps) // _ROWS)
    return tuple(sorted({*range(0, len(chart.steps), apart), len(chart.steps) - 1}))


def _swept_knobs(events: Sequence[EventRecord]) -> tuple[str, ...]:
    """A sweep writes its knob before the trainer's own metrics, which begin with the step."""
    first = next((event.data for event in events if "step" in event.data), {})
    return tuple(first)[: tuple(first).index("step")] if first else ()


def _chart(name: str, lines: Mapping[str, Mapping[int, float]]) -> Chart:
    steps = sorted({step for line in lines.values() for step in line})
    series = tuple(Series(label, tuple(line.get(step) for step in steps)) for label, line in lines.items())
    return Chart(name.replace("_", " "), tuple(steps), series)


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)

"""A run's events on the terminal: one bar a stage with its ETA, or plain lines where no terminal is attached.

Left out: metrics. They stand in the report.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0


class RunEvent(Protocol):
    """What is shown of an event. `eta_s` is in seconds and is None where nobody knows."""

    @property
    def stage(self) -> str | None: ...
    @property
    def type(self) -> str: ...
    @property
    def done(self) -> int | None: ...
    @property
    def total(self) -> int | None: ...
    @property
    def eta_s(self) -> float | None: ...
    @property
    def data(self) -> object: ...


class ProgressView(Protocol):
    """Shows events as they come. Used as a context manager, so that the terminal is left clean."""

    def show(self, event: RunEvent) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress_view(console: Console) -> ProgressView:
    """Bars on a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)


class Bars:
    """One bar a stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}"),
            console=console,
        )

    def show(self, event: RunEvent) -> None:
        """Move the stage's bar; warnings and errors are printed above the bars."""
        if event.type in ("warning", "error"):
            self._console.print(notice(event), markup=False)
        if event.stage is None:
            return
        if event.stage not in self._tasks:
            self._finish_others()
            self._tasks[event.stage] = self._progress.add_task(event.stage, total=None, eta="")
        if event.done is not None:
            eta = f"{seconds(event.eta_s)} left" if event.eta_s else ""
            self._progress.update(self._tasks[event.stage], completed=event.done, total=event.total, eta=eta)

    def _finish_others(self) -> None:
        """A new stage has begun, so the earlier ones are over: their clocks stop."""
        for task in self._tasks.values():
            self._progress.update(task, eta="done")
            self._progress.stop_task(task)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish_others()
        self._progress.stop()


class Lines:
    """A line when a stage begins, then at most one line in ten seconds, and one when the count is full."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._stage: str | None = None
        self._shown_at = 0.0

    def show(self, event: RunEvent) -> None:
        """Print the event where it tells something new."""
        if event.type in ("warning", "error"):
            self._console.print(notice(event), markup=False)
        if event.stage is None or event.type not in ("stage", "progress"):
            return
        begins = event.stage != self._stage
        full = event.done is not None and event.done == event.total
        if begins or full or self._clock() - self._shown_at >= LINE_EVERY_S:
            self._stage, self._shown_at = event.stage, self._clock()
            self._console.print(line(event), markup=False, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def line(event: RunEvent) -> str:
    """`sample     120/440   35 s left`."""
    count = f"{event.done}/{event.total}" if event.done is not None and event.total is not None else ""
    eta = f"{seconds(event.eta_s)} left" if event.eta_s else ""
    return f"{event.stage:<9} {count:>11}   {eta}".rstrip()


def notice(event: RunEvent) -> str:
    """A warning or an error in one line."""
    text = event.data.get("message", event.data) if isinstance(event.data, dict) else event.data
    return f"{event.type} in {event.stage or 'the run'}: {text}"


def seconds(duration_s: float) -> str:
    """`42 s`, or `3 min 5 s` from a minute on."""
    whole = round(duration_s)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"

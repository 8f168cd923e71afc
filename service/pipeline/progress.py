"""How far a stage is, as events: at most two a second, with the time that is left."""

import time
from collections.abc import Callable

from service.schemas import Stage
from service.store.records import NewEvent
from service.store.runs import Runs

EVERY_S = 0.5
# Of many replies begun together none is done for a while: the first of them tell nothing of the speed.
TELLING_SHARE = 0.05


class Progress:
    """Counts one stage's work. What an earlier attempt did counts as done, but tells nothing of the speed."""

    def __init__(
        self, runs: Runs, run_id: str, stage: Stage, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runs, self._run_id, self._stage, self._total = runs, run_id, stage, total
        self._clock = clock
        self._began = clock()
        self._told_at = float("-inf")
        self._done = 0
        self._new = 0

    async def add(self, done: int = 1, *, new: bool = True) -> None:
        """More is done; `new` is false for what was there already, or took no time."""
        self._done += done
        self._new += done if new else 0
        await self._tell()

    async def set(self, done: int) -> None:
        """So much is done in all: for a trainer, which counts itself."""
        self._new += max(0, done - self._done) if self._done else 0
        self._done = done
        await self._tell()

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the speed so far; None while too little new is done to tell it."""
        if self._new < max(1.0, TELLING_SHARE * self._total):
            return None
        return (self._clock() - self._began) / self._new * (self._total - self._done)

    async def _tell(self) -> None:
        now = self._clock()
        if now - self._told_at < EVERY_S and self._done < self._total:
            return
        self._told_at = now
        eta_s = None if self.eta_s is None else round(self.eta_s, 1)
        event = NewEvent(self._stage, "progress", done=self._done, total=self._total, eta_s=eta_s)
        await self._runs.add_event(self._run_id, event)

"""Turns of many annotators in one transaction: what comes while one is under way is carried out together by the next.

Fifty answers at once are two transactions instead of fifty that wait for one another, and they go before leases. An
answer is told when it is committed, never before. A step looks before it writes, so that one which is refused leaves
nothing behind.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from service.errors import Interrupted, ServiceError
from service.store.database import Database
from service.store.label_turns import Turn, open_turns
from service.store.tables import Clock
from service.store.together import others_have_come

_MOST_TOGETHER = 64
# A lease takes several queries: an answer that comes meanwhile must not wait for many of them.
_MOST_OTHERS_TOGETHER = 8
Result = TypeVar("Result")
Tell = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One step of one annotator. `carry_out` returns how to tell its outcome, `fail` tells of another one's fault.

    `task_id` is the task that it is about, if it is about one: it is read with those of the others.
    """

    annotator_id: str
    task_id: str | None
    carry_out: Callable[[Turn], Awaitable[Tell]]
    fail: Callable[[BaseException], None]


class TurnQueue:
    """Of one process; other processes have their own, and the database keeps them apart."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._entries: list[_Entry] = []
        self._work: asyncio.Task[None] | None = None

    async def take(
        self, annotator_id: str, step: Callable[[Turn], Awaitable[Result]], task_id: str | None = None
    ) -> Result:
        """The step's result, when it is committed. Raises what the step raises, or the database."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry = _entry(annotator_id, step, task_id, future)
        if self._db.is_joined:  # its transaction is the caller's own
            (await self._together([entry]))[0]()
            return await future
        self._entries.append(entry)
        if self._work is None or self._work.done():
            # Its own context: it must not write into the transaction of whoever happened to come first.
            self._work = asyncio.create_task(self._carry_out_all(), context=contextvars.Context())
        return await future

    async def _carry_out_all(self) -> None:
        batch: list[_Entry] = []
        try:
            while self._entries:
                await others_have_come(self._entries)
                batch = self._next_batch()
                await self._carry_out(batch)
        finally:
            for entry in (*batch, *self._entries):  # where all is told, this tells nothing
                entry.fail(Interrupted("the service stopped before this was stored; send it again"))
            self._entries = []

    def _next_batch(self) -> list[_Entry]:
        """Answers go first, whatever was asked before them; they are few, for a task must be held to be answered."""
        answers = [entry for entry in self._entries if entry.task_id is not None]
        others = [entry for entry in self._entries if entry.task_id is None]
        if answers:
            self._entries = [*answers[_MOST_TOGETHER:], *others]
            return answers[:_MOST_TOGETHER]
        self._entries = others[_MOST_OTHERS_TOGETHER:]
        return others[:_MOST_OTHERS_TOGETHER]

    async def _carry_out(self, batch: Sequence[_Entry]) -> None:
        """Together; where that fails, one by one, so that one's fault is not another's."""
        try:
            tells = await self._together(batch)
        except (SQLAlchemyError, ServiceError) as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for entry in batch:
                await self._carry_out([entry])
            return
        for tell in tells:
            tell()

    async def _together(self, batch: Sequence[_Entry]) -> list[Tell]:
        people = [entry.annotator_id for entry in batch]
        tasks = [entry.task_id for entry in batch if entry.task_id is not None]
        async with self._db.write() as session:
            turns = await open_turns(session, people, tasks, self._clock)
            return [await entry.carry_out(turns[entry.annotator_id]) for entry in batch]


def _entry(
    annotator_id: str,
    step: Callable[[Turn], Awaitable[Result]],
    task_id: str | None,
    future: asyncio.Future[Result],
) -> _Entry:
    def fail(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    def succeed(result: Result) -> None:
        if not future.done():  # whoever asked may have gone away
            future.set_result(result)

    async def carry_out(turn: Turn) -> Tell:
        try:
            turn.refuse_stranger()
            result = await step(turn)
        except ServiceError as error:
            refused = error
            return lambda: fail(refused)
        return lambda: succeed(result)

    return _Entry(annotator_id, task_id, carry_out, fail)

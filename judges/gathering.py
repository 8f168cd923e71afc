"""Run requests together and keep their order; the first error ends the rest and is raised as it is."""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import TypeVar

T = TypeVar("T")


async def all_of(work: Iterable[Coroutine[None, None, T]]) -> tuple[T, ...]:
    """The results in the order of the work. An error or a cancellation leaves nothing running behind."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_order(work: Iterable[Coroutine[None, None, T]], at_once: int) -> AsyncGenerator[T, None]:
    """The results in the order of the work, of which at most `at_once` is begun and not yet given out.

    The work is drawn as it is needed, so that a million takes the memory of `at_once`. Close the iterator (PEP 525)
    where it is left early: it cancels what it began.
    """
    rest = iter(work)
    begun = deque(asyncio.ensure_future(one) for one in itertools.islice(rest, at_once))
    try:
        while begun:
            result = await begun[0]
            begun.popleft()
            begun.extend(asyncio.ensure_future(one) for one in itertools.islice(rest, 1))
            yield result
    finally:
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)

"""Verdicts one after the other, for more comparisons than fit in memory: a bounded number is on its way at a time.

Left out: keeping them (service/verdict_shards.py).
"""

import contextlib
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence

from constitutions.schema import JudgedPrinciple
from judges.client import JudgeClient
from judges.gathering import in_order
from judges.protocols.protocol import JudgeProtocol
from judges.records import Comparison, PrincipleVerdict

AT_ONCE = 256


async def judge_stream(
    client: JudgeClient,
    comparisons: Iterable[Comparison],
    principles: Sequence[JudgedPrinciple],
    protocol: JudgeProtocol,
    *,
    at_once: int = AT_ONCE,
) -> AsyncGenerator[PrincipleVerdict, None]:
    """Every comparison under every principle, in that order; pass the comparisons of one prompt together.

    `at_once` verdicts are on their way or wait for an earlier one: give twice what the judge takes at once, so that a
    slow verdict holds nobody up. Leave it early with `contextlib.aclosing`, or what is on its way runs on for a while.
    """

    def work() -> Iterator[Coroutine[None, None, PrincipleVerdict]]:
        for comparison in comparisons:
            for principle in principles:
                yield protocol.judge(client, comparison, principle)

    async with contextlib.aclosing(in_order(work(), at_once)) as verdicts:
        async for verdict in verdicts:
            yield verdict

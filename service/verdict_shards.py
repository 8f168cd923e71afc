"""Verdicts on any number of comparisons, kept in shards: memory holds a few shards, and no verdict is asked for twice.

A shard holds one principle's verdicts on some comparisons. Its key covers all that can change them, so that a second
run over the same comparisons asks the judge nothing. Left out: runs and their progress (pipeline/verdicts.py).
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from constitutions.canonical import principle_sha256
from constitutions.schema import JudgedPrinciple, Principle
from judges.client import JudgeClient
from judges.gathering import in_order
from judges.protocols.protocol import JudgeProtocol
from judges.records import Comparison, PrincipleVerdict
from judges.stream import judge_stream
from service.artifacts import Artifacts
from service.pipeline.faults import refuse_faulty
from service.shards import publish_shard, shard_key

STAGE_VERSION = 3
PAIRS_PER_SHARD = 500
_SHARDS_AT_ONCE = 2  # one fills while the other's last answers are awaited


@dataclass(frozen=True, slots=True)
class Judging:
    """Who judges, how, and by what. `identity` tells the judge's weights, or where they are served and under what name.

    `at_once` is how many verdicts of one group of comparisons are on their way together.
    """

    client: JudgeClient
    identity: str
    protocol: JudgeProtocol
    principles: tuple[JudgedPrinciple, ...]
    at_once: int = 256


async def ensure_verdict_shards(
    artifacts: Artifacts, judging: Judging, comparisons: Iterable[Comparison], pairs_per_shard: int = PAIRS_PER_SHARD
) -> AsyncGenerator[str, None]:
    """The shards' keys, in the order of the comparisons and within them of the principles; what is missing is judged.

    The comparisons are drawn as they are needed. Raises RunFailed where the judge fails as a server.
    """
    work = (_ensure_group(artifacts, judging, group) for group in _groups(comparisons, pairs_per_shard))
    async with contextlib.aclosing(in_order(work, _SHARDS_AT_ONCE)) as found:
        async for keys in found:
            for key in keys:
                yield key


async def _ensure_group(artifacts: Artifacts, judging: Judging, pairs: tuple[Comparison, ...]) -> tuple[str, ...]:
    judge: list[JsonValue] = [judging.identity, judging.protocol.template_sha256]

    async def ask(missing: Collection[str]) -> Sequence[PrincipleVerdict]:
        principles = [principle for principle in judging.principles if principle.id in missing]
        stream = judge_stream(judging.client, pairs, principles, judging.protocol, at_once=judging.at_once)
        async with contextlib.aclosing(stream) as verdicts:
            found = [verdict async for verdict in verdicts]
        refuse_faulty(judging.client.model, [verdict.verdict for verdict in found])
        return found

    return await ensure_principle_shards(
        artifacts, {one.id: verdicts_key(one, judge, pairs) for one in judging.principles}, ask
    )


async def ensure_principle_shards(
    artifacts: Artifacts,
    keys: Mapping[str, str],
    ask: Callable[[Collection[str]], Awaitable[Sequence[PrincipleVerdict]]],
) -> tuple[str, ...]:
    """The shards of some comparisons: `keys` has one for each principle's id, in the order of the answer.

    `ask` is told the ids whose shards are missing, none perhaps, and answers with their verdicts.
    """
    there = await asyncio.gather(*(artifacts.exists(key) for key in keys.values()))
    missing = [id for id, is_there in zip(keys, there, strict=True) if not is_there]
    found = await ask(missing)
    for id in missing:
        own = [verdict for verdict in found if verdict.principle_id == id]
        await publish_shard(artifacts, keys[id], own, PrincipleVerdict)
    return tuple(keys.values())


def verdicts_key(principle: Principle, judge: list[JsonValue], pairs: Sequence[Comparison]) -> str:
    """The shard of one principle's verdicts on these pairs; `judge` is what tells one judge's verdicts from another's.

    The id is in the rows, so two principles of one wording have a shard each.
    """
    matter: list[JsonValue] = [STAGE_VERSION, principle.id, principle_sha256(principle), judge]
    return shard_key("verdicts", [*matter, [pair.id for pair in pairs]])


def _groups(comparisons: Iterable[Comparison], size: int) -> Iterator[tuple[Comparison, ...]]:
    rest = iter(comparisons)
    while group := tuple(itertools.islice(rest, size)):
        yield group

"""Verdicts in shards, one for each principle and group of prompts: an edited principle is judged again, no other.

The requests for one prompt go out together, so that the server's prefix cache serves them. A judge that mostly fails
to answer (as a server, not as a judge) ends the run, and what it failed on is not kept.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

from pydantic import JsonValue

from constitutions.schema import CheckedPrinciple, JudgedPrinciple, Principle
from judges.checking import check_comparison
from judges.client import ChatClient
from judges.gathering import all_of
from judges.records import Abstention, Comparison, Preference, PrincipleVerdict
from service.pipeline.context import RunContext
from service.pipeline.faults import refuse_faulty
from service.pipeline.progress import Progress
from service.pipeline.sample import identity_of
from service.store.records import JsonObject
from service.verdict_shards import ensure_principle_shards, verdicts_key

PromptPairs = tuple[Comparison, ...]


async def ensure_verdicts(
    context: RunContext,
    client: ChatClient,
    groups: Sequence[tuple[PromptPairs, ...]],
    principles: Sequence[Principle],
    progress: Progress,
) -> tuple[str, ...]:
    """The keys of all shards. A group holds prompts, a prompt its comparisons."""
    at_once = asyncio.Semaphore(context.shards_at_once)

    async def one(group: tuple[PromptPairs, ...]) -> tuple[str, ...]:
        async with at_once:
            return await _ensure_group(context, client, group, principles, progress)

    return tuple([key for keys in await all_of(one(group) for group in groups) for key in keys])


async def _ensure_group(
    context: RunContext,
    client: ChatClient,
    group: tuple[PromptPairs, ...],
    principles: Sequence[Principle],
    progress: Progress,
) -> tuple[str, ...]:
    pairs = [pair for prompt in group for pair in prompt]
    if not pairs:
        return ()

    async def ask(ids: Collection[str]) -> Sequence[PrincipleVerdict]:
        if there := len(principles) - len(ids):
            await progress.add(len(pairs) * there, new=False)
        missing = [principle for principle in principles if principle.id in ids]
        checks = [principle for principle in missing if isinstance(principle, CheckedPrinciple)]
        checked = [check_comparison(pair, check) for check in checks for pair in pairs]
        if checked:
            await progress.add(len(checked), new=False)  # a program's verdicts tell nothing of the judge's speed
        judged = [principle for principle in missing if isinstance(principle, JudgedPrinciple)]
        if not judged:
            return checked
        answers = await all_of(_judge_prompt(context, client, prompt, judged, progress) for prompt in group)
        found = [verdict for answer in answers for verdict in answer]
        refuse_faulty(client.model, [verdict.verdict for verdict in found])
        return [*checked, *found]

    return await ensure_principle_shards(
        context.artifacts, {one.id: verdict_key(context, one, pairs) for one in principles}, ask
    )


async def _judge_prompt(
    context: RunContext,
    client: ChatClient,
    pairs: PromptPairs,
    principles: Sequence[JudgedPrinciple],
    progress: Progress,
) -> tuple[PrincipleVerdict, ...]:
    judge = context.protocol.judge
    verdicts = await all_of(judge(client, pair, principle) for pair in pairs for principle in principles)
    await progress.add(len(verdicts))
    return verdicts


def verdict_key(context: RunContext, principle: Principle, pairs: Sequence[Comparison]) -> str:
    """The shard of one principle's verdicts on these pairs."""
    judged = isinstance(principle, JudgedPrinciple)
    judge: list[JsonValue] = [identity_of(context.judge), context.protocol.template_sha256] if judged else ["check"]
    return verdicts_key(principle, judge, pairs)


def count_verdicts(verdicts: Sequence[PrincipleVerdict]) -> JsonObject:
    """What the report counts; `causes` says why the judge abstained."""
    causes = Counter(str(v.verdict.cause) for v in verdicts if isinstance(v.verdict, Abstention))
    return {
        "verdicts": len(verdicts),
        "abstentions": sum(causes.values()),
        "flips": sum(isinstance(v.verdict, Preference) and v.verdict.flipped for v in verdicts),
        "causes": dict(causes),
    }

"""Stage `revise`: the judge criticises and rewrites replies, the worst by the checks first. Every step is kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from constitutions.checks.registry import run_check
from constitutions.schema import CheckedPrinciple, Constitution, Principle
from judges.client import ChatClient
from judges.critique import ChainSettings, revise_reply
from judges.gathering import all_of
from judges.records import Abstention, Prompt, Revision, Sample
from judges.templates import load_template
from service.pipeline.context import RunContext
from service.pipeline.faults import refuse_faulty
from service.pipeline.progress import Progress
from service.pipeline.replies import groups_of
from service.pipeline.sample import identity_of
from service.shards import ensure_shard, keys_in, publish_shard, read_shard, read_shards, shard_key
from service.store.records import JsonObject

STAGE_VERSION = 2


@dataclass(frozen=True, slots=True)
class RevisedSample:
    """A sample's chain: its steps, and what ended it early, where something did."""

    sample_id: str
    prompt_id: str
    revisions: tuple[Revision, ...]
    abstention: Abstention | None


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt and those of its samples that are revised."""

    prompt: Prompt
    samples: tuple[Sample, ...]


async def run_revise(context: RunContext) -> JsonObject:
    """Ensure the chains. Leaves `chains`, shards of `RevisedSample`, and `shards` of their revisions alone."""
    sampled = await context.result_of("sample")
    samples = await read_shards(context.artifacts, keys_in(sampled.result), Sample)
    most = context.request.revise.replies_per_prompt
    tasks = [
        Task(
            prompt, worst_replies(context.constitution, prompt, [s for s in samples if s.prompt_id == prompt.id], most)
        )
        for prompt in context.train
    ]
    total = sum(len(task.samples) for task in tasks)
    if total == 0:
        return {"shards": [], "chains": [], "revised": 0, "revisions": 0, "abstentions": 0}
    async with await context.judge_client() as client:
        shards = await _ensure_chains(context, client, tasks, context.progress("revise", total))
    chains = await read_shards(context.artifacts, shards, RevisedSample)
    return {
        "shards": [await _publish_revisions(context, key) for key in shards],
        "chains": list(shards),
        "revised": len(chains),
        "revisions": sum(len(chain.revisions) for chain in chains),
        "abstentions": sum(chain.abstention is not None for chain in chains),
    }


def worst_replies(
    constitution: Constitution, prompt: Prompt, samples: Sequence[Sample], most: int | None
) -> tuple[Sample, ...]:
    """The `most` samples that fail the most weight of checks, ties by index; all where `most` is None."""
    if most is None:
        return tuple(samples)
    ranked = sorted(samples, key=lambda s: (checks_score(constitution.checked, prompt, s.reply), s.index))
    return tuple(sorted(ranked[:most], key=lambda s: s.index))


def checks_score(checked: Sequence[CheckedPrinciple], prompt: Prompt, reply: str) -> float:
    """The weight of the checks that a reply passes."""
    return sum(p.weight for p in checked if run_check(p, prompt.messages, reply).passed)


async def _ensure_chains(
    context: RunContext, client: ChatClient, tasks: Sequence[Task], progress: Progress
) -> tuple[str, ...]:
    at_once = asyncio.Semaphore(context.shards_at_once)

    async def shard(group: tuple[Task, ...]) -> str:
        key = _key(context, group)
        async with at_once:
            if await context.artifacts.exists(key):
                await progress.add(len(await read_shard(context.artifacts, key, RevisedSample)), new=False)
            else:
                await ensure_shard(
                    context.artifacts, key, RevisedSample, lambda: _group_chains(context, client, group, progress)
                )
        return key

    return await all_of(shard(group) for group in groups_of(tasks))


async def _publish_revisions(context: RunContext, key: str) -> str:
    """The steps of a shard of chains as rows of their own, for whoever reads the run."""
    rows = [step for chain in await read_shard(context.artifacts, key, RevisedSample) for step in chain.revisions]
    own_key = key.replace("chains/", "revisions/", 1)
    await publish_shard(context.artifacts, own_key, rows, Revision)
    return own_key


async def _group_chains(
    context: RunContext, client: ChatClient, group: Sequence[Task], progress: Progress
) -> tuple[RevisedSample, ...]:
    wanted = context.request.revise
    settings = ChainSettings(wanted.steps, context.request.seed, wanted.max_tokens, wanted.temperature)

    async def chain(prompt: Prompt, sample: Sample) -> RevisedSample:
        outcome = await revise_reply(client, prompt, sample, context.constitution.principles, settings)
        await progress.add()
        return RevisedSample(sample.id, prompt.id, outcome.revisions, outcome.abstention)

    chains = await all_of(chain(task.prompt, sample) for task in group for sample in task.samples)
    refuse_faulty(client.model, [chain.abstention for chain in chains])
    return chains


def _key(context: RunContext, group: Sequence[Task]) -> str:
    templates: list[JsonValue] = [load_template(name).sha256 for name in ("critique", "revise")]
    principles: list[JsonValue] = [_wording(principle) for principle in context.constitution.principles]
    samples: list[JsonValue] = [[s.id, s.reply] for task in group for s in task.samples]
    made_of: list[JsonValue] = [
        STAGE_VERSION,
        identity_of(context.judge),
        context.request.revise.model_dump(mode="json"),
        context.request.seed,
        templates,
        principles,
        samples,
    ]
    return shard_key("chains", made_of)


def _wording(principle: Principle) -> JsonValue:
    value: JsonValue = principle.model_dump(mode="json", exclude={"weight", "aspect", "examples"})
    return value

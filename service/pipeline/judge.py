"""Stage `judge`: is the judge fit and still the same, which replies meet, and what do checks and judge say of each."""

from pydantic import JsonValue

from judges.records import Comparison, PrincipleVerdict, Sample
from service.pipeline.calibration import ensure_calibration
from service.pipeline.context import RunContext
from service.pipeline.drift import anchor_key, anchors, drift_json, ensure_drift
from service.pipeline.pairs import candidates, pairs_of
from service.pipeline.qualification import (
    answer_keys,
    ensure_answers,
    examined_before,
    qualification_json,
    standing_of,
)
from service.pipeline.replies import groups_of
from service.pipeline.revise import RevisedSample
from service.pipeline.verdicts import PromptPairs, count_verdicts, ensure_verdicts
from service.shards import keys_in, publish_shard, read_shards, shard_key
from service.store.records import JsonObject


async def run_judge(context: RunContext) -> JsonObject:
    """Ensure qualification, comparisons and verdicts. Leaves the keys of their shards and the counts."""
    groups = tuple(groups_of(await _pairs(context)))
    comparisons = [await _publish(context, group) for group in groups]
    pairs = sum(len(prompt) for group in groups for prompt in group)
    principles = context.constitution.principles
    async with await context.judge_client() as client:
        known = await examined_before(context)
        answers = await ensure_answers(context, client)
        then = anchors(context.run.id, [one for one in answers if one.pair.principle_id in known])
        drift = await ensure_drift(context, client, then)
        progress = context.progress("judge", pairs * len(principles))
        shards = await ensure_verdicts(context, client, groups, principles, progress)
        qualification = standing_of(context, client, answers)
        calibrated = context.request.judge.calibrate > 0
        calibration = await ensure_calibration(context, client, qualification) if calibrated else None
    verdicts = await read_shards(context.artifacts, shards, PrincipleVerdict)
    return {
        "shards": list(shards),
        "comparisons": list[JsonValue](comparisons),
        "qualification": qualification_json(qualification),
        "calibration": calibration,
        "qualification_shards": list[JsonValue](
            [*answer_keys(context), *([anchor_key(context, then)] if then else [])]
        ),
        "judge_drift": drift_json(drift),
        "pairs": pairs,
        **count_verdicts(verdicts),
    }


async def _pairs(context: RunContext) -> list[PromptPairs]:
    """The pairs of each prompt, in the prompts' order."""
    sampled = await context.result_of("sample")
    samples = await read_shards(context.artifacts, keys_in(sampled.result), Sample)
    chains: tuple[RevisedSample, ...] = ()
    if "revise" in context.request.stages:
        revised = await context.result_of("revise")
        chains = await read_shards(context.artifacts, keys_in(revised.result, "chains"), RevisedSample)
    found = []
    for prompt in context.train:
        own = sorted((s for s in samples if s.prompt_id == prompt.id), key=lambda s: s.index)
        texts = candidates(own, [chain for chain in chains if chain.prompt_id == prompt.id])
        found.append(pairs_of(prompt, texts, context.constitution.checked, context.request.compare.pairs_per_prompt))
    return found


async def _publish(context: RunContext, group: tuple[PromptPairs, ...]) -> str:
    pairs = [pair for prompt in group for pair in prompt]
    key = shard_key("comparisons", [pair.id for pair in pairs])
    await publish_shard(context.artifacts, key, pairs, Comparison)
    return key

"""The judge's examination on the constitution's own examples, kept for each principle: asked once, not once a run."""

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter

from constitutions.canonical import principle_sha256
from constitutions.schema import JudgedPrinciple
from judges.client import ChatClient
from judges.gathering import all_of
from judges.measures import JudgedPair
from judges.qualify import Qualification, example_pairs, qualification_of
from judges.records import PrincipleVerdict
from service.pipeline.context import RunContext
from service.pipeline.faults import refuse_faulty
from service.pipeline.sample import identity_of
from service.shards import ensure_shard, shard_key
from service.store.records import JsonObject, StageRecord

STAGE_VERSION = 4
_ADAPTER = TypeAdapter(Qualification)


async def examined_before(context: RunContext) -> frozenset[str]:
    """The principles whose examples this judge was asked before: their answers are there to be compared with."""
    judged = [principle for principle in context.constitution.judged if principle.examples]
    there = await all_of(context.artifacts.exists(_key(context, principle)) for principle in judged)
    return frozenset(principle.id for principle, is_there in zip(judged, there, strict=True) if is_there)


async def ensure_answers(context: RunContext, client: ChatClient) -> tuple[JudgedPair, ...]:
    """The judge's answers to every example. What was asked before is read: same judge, wording and examples."""
    judged = context.constitution.judged
    found = await all_of(_ensure_principle(context, client, principle) for principle in judged)
    return tuple(one for answers in found for one in answers)


def standing_of(context: RunContext, client: ChatClient, answers: tuple[JudgedPair, ...]) -> Qualification:
    """Every principle's standing."""
    return qualification_of(client.model, context.constitution, answers)


async def examined(context: RunContext, client: ChatClient) -> tuple[Qualification, JsonObject]:
    """The judge's standing, and what a stage leaves of it: `qualification`, `qualification_shards`."""
    qualification = standing_of(context, client, await ensure_answers(context, client))
    shards = list[JsonValue](answer_keys(context))
    return qualification, {"qualification": qualification_json(qualification), "qualification_shards": shards}


def answer_keys(context: RunContext) -> list[str]:
    """The shards that `ensure_answers` leaves."""
    return [_key(context, principle) for principle in context.constitution.judged if principle.examples]


def qualification_json(qualification: Qualification) -> JsonValue:
    """As it stands in the report."""
    value: JsonValue = _ADAPTER.dump_python(qualification, mode="json")
    return value


def qualification_in(stages: Mapping[str, StageRecord]) -> JsonValue:
    """The judge's standing, examined to judge pairs, else to grade a policy's replies, else to compare the adapters of
    a sweep; None where it was not."""
    if "judge" in stages:
        return stages["judge"].result["qualification"]
    return qualification_to_grade(stages) or qualification_to_compare(stages)


def qualification_to_grade(stages: Mapping[str, StageRecord]) -> JsonValue:
    """The standing by which the judge's grades scored a policy's replies; None elsewhere."""
    return _left_by_training(stages, "scores")


def qualification_to_compare(stages: Mapping[str, StageRecord]) -> JsonValue:
    """The standing by which a sweep without the stage `judge` weighed its comparisons; None elsewhere."""
    return _left_by_training(stages, "development")


def _left_by_training(stages: Mapping[str, StageRecord], part: str) -> JsonValue:
    found: JsonValue = stages["train"].result.get(part) if "train" in stages else None
    return found.get("qualification") if isinstance(found, dict) else None


def qualification_from(value: JsonValue) -> Qualification:
    """What `qualification_json` wrote."""
    return _ADAPTER.validate_python(value)


async def _ensure_principle(
    context: RunContext, client: ChatClient, principle: JudgedPrinciple
) -> tuple[JudgedPair, ...]:
    pairs = example_pairs(principle)
    if not pairs:
        return ()

    async def ask() -> tuple[PrincipleVerdict, ...]:
        verdicts = await all_of(context.protocol.judge(client, pair.comparison, principle) for pair in pairs)
        refuse_faulty(client.model, [verdict.verdict for verdict in verdicts])
        return verdicts

    verdicts = await ensure_shard(context.artifacts, _key(context, principle), PrincipleVerdict, ask)
    return tuple(JudgedPair(pair, found.verdict) for pair, found in zip(pairs, verdicts, strict=True))


def _key(context: RunContext, principle: JudgedPrinciple) -> str:
    examples: JsonValue = principle.model_dump(mode="json", include={"examples"})
    judge: list[JsonValue] = [identity_of(context.judge), context.protocol.template_sha256]
    return shard_key("qualifications", [STAGE_VERSION, principle.id, principle_sha256(principle), judge, examples])

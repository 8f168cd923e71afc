"""The judge's examination on the constitution's own examples, kept for each principle: asked once, not once a run."""

from collections.abc import Sequence

from pydantic import JsonValue, TypeAdapter

from constitutions.canonical import principle_sha256
from constitutions.schema import CheckedPrinciple, Example, JudgedPrinciple
from judges.client import ChatClient
from judges.gathering import all_of
from judges.qualify import PrincipleQualification, Qualification, example_comparison, qualify, standing
from judges.records import PrincipleVerdict
from service.pipeline.context import RunContext
from service.pipeline.faults import refuse_faulty
from service.pipeline.sample import identity_of
from service.shards import ensure_shard, shard_key

STAGE_VERSION = 3
_ADAPTER = TypeAdapter(Qualification)


async def ensure_qualification(context: RunContext, client: ChatClient) -> Qualification:
    """Every principle's standing. What was asked before is read, where judge, wording and examples are the same."""
    judged = context.constitution.judged
    found = await all_of(_ensure_answers(context, client, principle) for principle in judged)
    answers = {principle.id: verdicts for principle, verdicts in zip(judged, found, strict=True)}
    standings: list[PrincipleQualification] = []
    for principle in context.constitution.principles:
        if isinstance(principle, CheckedPrinciple):
            alone = context.constitution.model_copy(update={"principles": (principle,)})
            standings += (await qualify(client, alone)).per_principle  # a check proves itself: nothing is asked
        else:
            standings.append(standing(principle.id, answers[principle.id]))
    return Qualification(
        judge=client.model,
        per_principle=tuple(standings),
        overall=standing("overall", [verdict for verdicts in found for verdict in verdicts]),
        longest_wins=longest_wins([example for principle in judged for example in principle.examples]),
    )


def answer_keys(context: RunContext) -> list[str]:
    """The shards that `ensure_qualification` leaves."""
    return [_key(context, principle) for principle in context.constitution.judged if principle.examples]


def qualification_json(qualification: Qualification) -> JsonValue:
    """As it stands in the report."""
    value: JsonValue = _ADAPTER.dump_python(qualification, mode="json")
    return value


def qualification_from(value: JsonValue) -> Qualification:
    """What `qualification_json` wrote."""
    return _ADAPTER.validate_python(value)


def longest_wins(examples: Sequence[Example]) -> float:
    """How often the longer text is the better one, 0 to 1: the baseline of a judge that only counts words."""
    wins = [0.5 + ((len(e.better) > len(e.worse)) - (len(e.better) < len(e.worse))) / 2 for e in examples]
    return sum(wins) / len(wins) if wins else 0.5


async def _ensure_answers(
    context: RunContext, client: ChatClient, principle: JudgedPrinciple
) -> tuple[PrincipleVerdict, ...]:
    if not principle.examples:
        return ()

    async def ask() -> tuple[PrincipleVerdict, ...]:
        verdicts = await all_of(
            context.protocol.judge(client, example_comparison(e), principle) for e in principle.examples
        )
        refuse_faulty(client.model, [verdict.verdict for verdict in verdicts])
        return verdicts

    return tuple(await ensure_shard(context.artifacts, _key(context, principle), PrincipleVerdict, ask))


def _key(context: RunContext, principle: JudgedPrinciple) -> str:
    examples: JsonValue = principle.model_dump(mode="json", include={"examples"})
    judge: list[JsonValue] = [identity_of(context.judge), context.protocol.template_sha256]
    return shard_key("qualifications", [STAGE_VERSION, principle.id, principle_sha256(principle), judge, examples])

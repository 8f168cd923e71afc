"""Stage `evaluate`: base against adapter on the held-out prompts, by the checks and before the judge."""

from collections.abc import Sequence
from dataclasses import asdict

from pydantic import JsonValue

from constitutions.checks.registry import run_check
from constitutions.schema import Constitution
from judges.client import ChatClient
from judges.records import Comparison, Preference, PrincipleVerdict, Prompt, Sample
from service.engines import folder_of
from service.errors import RunFailed
from service.pipeline.children import run_training
from service.pipeline.context import RunContext
from service.pipeline.pairs import comparison_of
from service.pipeline.progress import Progress
from service.pipeline.replies import Sampling, groups_of, sample_replies
from service.pipeline.sample import context_tokens, identity_of
from service.pipeline.train import fetch_adapter
from service.pipeline.verdicts import PromptPairs, count_verdicts, ensure_verdicts
from service.shards import read_shards
from service.store.records import JsonObject
from training.evaluation import CheckedReply, EvaluationReport, JudgedMeeting, evaluate

EXAMPLES = 8


async def run_evaluate(context: RunContext) -> JsonObject:
    """Ensure the replies of both and the verdicts on their meetings. Leaves results, examples and shard keys."""
    if not context.held_out:
        raise RunFailed(
            'there is no held-out prompt: give `held_out`, mark prompts with "split": "held_out", or leave the '
            "stage `evaluate` out"
        )
    trained = (await context.result_of("train")).result
    progress = context.progress("evaluate", _work(context))
    async with await context.policy_client() as client:
        before_keys = await _replies(context, client, identity_of(context.model), progress)
    after_keys = await _adapter_replies(context, str(trained["adapter_sha256"]), progress)
    before = await read_shards(context.artifacts, before_keys, Sample)
    after = await read_shards(context.artifacts, after_keys, Sample)
    verdict_keys, verdicts = await _meetings(context, before, after, progress)
    report = evaluate(
        checked_replies(context.constitution, context.held_out, before),
        checked_replies(context.constitution, context.held_out, after),
        judged_meetings(context.held_out, before, after, verdicts),
    )
    return {
        "before": list[JsonValue](before_keys),
        "after": list[JsonValue](after_keys),
        "shards": list[JsonValue](verdict_keys),
        "principles": [asdict(result) for result in report.principles],
        "statistics": _statistics(report),
        "examples": _examples(context.held_out, before, after),
        **count_verdicts(verdicts),
    }


def checked_replies(
    constitution: Constitution, prompts: Sequence[Prompt], samples: Sequence[Sample]
) -> list[CheckedReply]:
    """Every reply under every check."""
    prompt_by_id = {prompt.id: prompt for prompt in prompts}
    return [
        CheckedReply(
            s.prompt_id,
            s.reply,
            tuple(
                (p.id, run_check(p, prompt_by_id[s.prompt_id].messages, s.reply).passed) for p in constitution.checked
            ),
        )
        for s in samples
    ]


def meetings_of(prompt: Prompt, before: Sequence[Sample], after: Sequence[Sample], most: int) -> list[Comparison]:
    """The first replies of both sides meet, the second ones, and so on; equal texts need no judge."""
    texts = [(b.reply, a.reply) for b, a in zip(_of(prompt, before), _of(prompt, after), strict=True)][:most]
    pairs = [comparison_of(prompt, old, new) for old, new in texts if old != new]
    return list({pair.id: pair for pair in pairs}.values())


def judged_meetings(
    prompts: Sequence[Prompt], before: Sequence[Sample], after: Sequence[Sample], verdicts: Sequence[PrincipleVerdict]
) -> list[JudgedMeeting]:
    """Verdicts as the adapter's wins. An abstention is no meeting."""
    new_by_pair: dict[str, str] = {}
    for prompt in prompts:
        for old, new in zip(_of(prompt, before), _of(prompt, after), strict=True):
            new_by_pair[comparison_of(prompt, old.reply, new.reply).id] = (
                "a" if comparison_of(prompt, old.reply, new.reply).a == new.reply else "b"
            )
    return [
        JudgedMeeting(
            v.prompt_id,
            v.principle_id,
            v.verdict.p_a if new_by_pair[v.comparison_id] == "a" else 1 - v.verdict.p_a,
        )
        for v in verdicts
        if isinstance(v.verdict, Preference)
    ]


def _work(context: RunContext) -> int:
    """What the progress counts: replies of both sides, and meetings under each judged principle."""
    wanted, prompts = context.request.evaluate, len(context.held_out)
    return prompts * (2 * wanted.replies_per_prompt + _meetings_per_prompt(context) * len(context.constitution.judged))


def _meetings_per_prompt(context: RunContext) -> int:
    wanted = context.request.evaluate
    return wanted.replies_per_prompt if wanted.pairs_per_prompt is None else wanted.pairs_per_prompt


async def _replies(context: RunContext, client: ChatClient, identity: str, progress: Progress) -> tuple[str, ...]:
    wanted = context.request.evaluate
    sampling = Sampling(
        model=context.model.name,
        identity=identity,
        replies_per_prompt=wanted.replies_per_prompt,
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        top_p=1.0,
        seed=context.request.seed,
        limit_tokens=context_tokens(context),
    )
    return await sample_replies(context, client, context.held_out, sampling, progress)


async def _adapter_replies(context: RunContext, adapter_sha256: str, progress: Progress) -> tuple[str, ...]:
    """Merge the adapter into the base and ask the result on a server of its own, which ends with this stage."""
    folder = context.scratch / "merged"
    if not folder.exists():
        adapter = await fetch_adapter(context, context.scratch / "adapter")
        arguments = ("--model", str(folder_of(context.model)), "--adapter", str(adapter), "--output", str(folder))

        async def ignore(_: str) -> None:
            return

        ended = await run_training(("merge", *arguments), context.scratch / "merge.log", ignore)
        if ended.status != 0:
            raise RunFailed(f"merging the adapter ended with status {ended.status}: {ended.complaint}")
    async with (
        context.tools.engines.leased(folder, context.model.served_name) as endpoint,
        context.sampling_client(endpoint) as client,
    ):
        return await _replies(context, client, f"{identity_of(context.model)}+{adapter_sha256}", progress)


async def _meetings(
    context: RunContext, before: Sequence[Sample], after: Sequence[Sample], progress: Progress
) -> tuple[tuple[str, ...], tuple[PrincipleVerdict, ...]]:
    most = _meetings_per_prompt(context)
    if not most or not context.constitution.judged:
        return (), ()
    pairs: list[PromptPairs] = [tuple(meetings_of(prompt, before, after, most)) for prompt in context.held_out]
    async with await context.judge_client() as client:
        keys = await ensure_verdicts(context, client, list(groups_of(pairs)), context.constitution.judged, progress)
    return keys, await read_shards(context.artifacts, keys, PrincipleVerdict)


def _of(prompt: Prompt, samples: Sequence[Sample]) -> list[Sample]:
    return sorted((s for s in samples if s.prompt_id == prompt.id), key=lambda s: s.index)


def _statistics(report: EvaluationReport) -> JsonObject:
    return {"before": asdict(report.before), "after": asdict(report.after)}


def _examples(prompts: Sequence[Prompt], before: Sequence[Sample], after: Sequence[Sample]) -> list[JsonValue]:
    """Prompts spread evenly over the set, with the first reply of each side: not picked for their looks."""
    step = max(1, len(prompts) // EXAMPLES)
    return [
        {
            "prompt": prompt.messages[-1].content,
            "before": _of(prompt, before)[0].reply,
            "after": _of(prompt, after)[0].reply,
        }
        for prompt in prompts[::step][:EXAMPLES]
    ]

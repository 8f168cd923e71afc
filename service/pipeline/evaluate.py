"""Stage `evaluate`: base against adapter on the held-out prompts, by the checks and before the judge."""

from collections.abc import Sequence
from dataclasses import asdict

from pydantic import JsonValue

from constitutions.checks.registry import run_check
from constitutions.schema import Constitution
from judges.records import Prompt, Sample
from service.errors import RunFailed
from service.pipeline.against_base import Contest, judged_meetings, meet_base, replies_to, work_of
from service.pipeline.context import RunContext
from service.pipeline.evaluate_scores import evaluate_scores
from service.pipeline.verdicts import count_verdicts
from service.store.records import JsonObject
from training.evaluation import CheckedReply, EvaluationReport, evaluate

EXAMPLES = 8


async def run_evaluate(context: RunContext) -> JsonObject:
    """Ensure the replies of both and the verdicts on their meetings. Leaves results, examples and shard keys.

    What writes no replies is proven otherwise: see `evaluate_scores`.
    """
    if not context.request.training.writes_replies:
        return await evaluate_scores(context)
    if not context.held_out:
        raise RunFailed(
            'there is no held-out prompt: give `held_out`, mark prompts with "split": "held_out", or leave the '
            "stage `evaluate` out"
        )
    trained = (await context.result_of("train")).result
    contest = Contest(
        stage="evaluate",
        trained=str(trained["folder"]),
        adapter_sha256=str(trained["adapter_sha256"]),
        prompts=context.held_out,
        judged=context.constitution.judged,
        scratch=context.scratch,
    )
    progress = context.progress("evaluate", work_of(context, len(context.held_out), len(contest.judged)))
    met = await meet_base(context, contest, progress)
    report = evaluate(
        checked_replies(context.constitution, context.held_out, met.before),
        checked_replies(context.constitution, context.held_out, met.after),
        judged_meetings(met.meetings, [p.id for p in contest.judged], met.verdicts),
    )
    return {
        "before": list[JsonValue](met.before_keys),
        "after": list[JsonValue](met.after_keys),
        "shards": list[JsonValue](met.verdict_keys),
        "principles": [asdict(result) for result in report.principles],
        "statistics": _statistics(report),
        "examples": _examples(context.held_out, met.before, met.after),
        **count_verdicts(met.verdicts),
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


def _statistics(report: EvaluationReport) -> JsonObject:
    return {"before": asdict(report.before), "after": asdict(report.after)}


def _examples(prompts: Sequence[Prompt], before: Sequence[Sample], after: Sequence[Sample]) -> list[JsonValue]:
    """Prompts spread evenly over the set, with the first reply of each side: not picked for their looks."""
    step = max(1, len(prompts) // EXAMPLES)
    return [
        {
            "prompt": prompt.messages[-1].content,
            "before": replies_to(prompt, before)[0].reply,
            "after": replies_to(prompt, after)[0].reply,
        }
        for prompt in prompts[::step][:EXAMPLES]
    ]

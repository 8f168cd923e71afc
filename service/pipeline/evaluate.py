"""Stage `evaluate`: base against adapter on the held-out prompts, by the checks and before the judge."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from constitutions.checks.registry import run_check
from constitutions.schema import Constitution
from judges.client import ChatClient
from judges.gathering import all_of
from judges.records import Comparison, Preference, PrincipleVerdict, Prompt, Sample
from service.engines import folder_of
from service.errors import RunFailed
from service.pipeline.children import Ended, run_again_when_killed, run_training
from service.pipeline.context import RunContext
from service.pipeline.evaluate_scores import evaluate_scores
from service.pipeline.pairs import comparison_of
from service.pipeline.progress import Progress
from service.pipeline.replies import groups_of, sample_replies
from service.pipeline.sample import held_out_sampling, identity_of
from service.pipeline.train import fetch_adapter
from service.pipeline.verdicts import PromptPairs, count_verdicts, ensure_verdicts
from service.shards import read_shards
from service.store.records import JsonObject
from training.evaluation import CheckedReply, EvaluationReport, JudgedMeeting, evaluate

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
    progress = context.progress("evaluate", _work(context))
    before_keys, after_keys = await _both_replies(context, str(trained["adapter_sha256"]), progress)
    before = await read_shards(context.artifacts, before_keys, Sample)
    after = await read_shards(context.artifacts, after_keys, Sample)
    meetings = [meetings_of(prompt, before, after, _meetings_per_prompt(context)) for prompt in context.held_out]
    verdict_keys = await _verdicts(context, meetings, progress)
    verdicts = await read_shards(context.artifacts, verdict_keys, PrincipleVerdict)
    report = evaluate(
        checked_replies(context.constitution, context.held_out, before),
        checked_replies(context.constitution, context.held_out, after),
        judged_meetings(list(itertools.chain(*meetings)), [p.id for p in context.constitution.judged], verdicts),
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


@dataclass(frozen=True, slots=True)
class Meeting:
    """A reply of the base and one of the adapter to one prompt."""

    prompt: Prompt
    before: str
    after: str

    @property
    def comparison(self) -> Comparison:
        return comparison_of(self.prompt, self.before, self.after)


def meetings_of(prompt: Prompt, before: Sequence[Sample], after: Sequence[Sample], most: int) -> tuple[Meeting, ...]:
    """The first replies of both sides meet, the second ones, and so on, `most` in all."""
    sides = zip(_of(prompt, before), _of(prompt, after), strict=True)
    return tuple([Meeting(prompt, old.reply, new.reply) for old, new in sides][:most])


def questions_of(meetings: Sequence[Meeting]) -> PromptPairs:
    """What the judge is asked: each pair of different texts once, whoever wrote which."""
    pairs = [meeting.comparison for meeting in meetings if meeting.before != meeting.after]
    return tuple({pair.id: pair for pair in pairs}.values())


def judged_meetings(
    meetings: Sequence[Meeting], principle_ids: Sequence[str], verdicts: Sequence[PrincipleVerdict]
) -> list[JudgedMeeting]:
    """Verdicts as the adapter's wins. An abstention is no meeting; equal texts are a draw that needs no judge.

    To leave such draws out would make a training that changed little look as strong as the few replies it changed.
    """
    answers = {(v.comparison_id, v.principle_id): v.verdict for v in verdicts}
    found = []
    for meeting, id in itertools.product(meetings, principle_ids):
        if meeting.before == meeting.after:
            found.append(JudgedMeeting(meeting.prompt.id, id, 0.5))
            continue
        pair = meeting.comparison
        verdict = answers[pair.id, id]
        if isinstance(verdict, Preference):
            p_wins = verdict.p_a if pair.a == meeting.after else 1 - verdict.p_a
            found.append(JudgedMeeting(meeting.prompt.id, id, p_wins))
    return found


def _work(context: RunContext) -> int:
    """What the progress counts: replies of both sides, and meetings under each judged principle."""
    wanted, prompts = context.request.evaluate, len(context.held_out)
    return prompts * (2 * wanted.replies_per_prompt + _meetings_per_prompt(context) * len(context.constitution.judged))


def _meetings_per_prompt(context: RunContext) -> int:
    wanted = context.request.evaluate
    return wanted.replies_per_prompt if wanted.pairs_per_prompt is None else wanted.pairs_per_prompt


async def _replies(context: RunContext, client: ChatClient, identity: str, progress: Progress) -> tuple[str, ...]:
    return await sample_replies(context, client, context.held_out, held_out_sampling(context, identity), progress)


async def _both_replies(
    context: RunContext, adapter_sha256: str, progress: Progress
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The shards of the base and of the adapter, whose server starts while the base still answers."""
    if context.tools.engines.side_by_side:
        before, after = await all_of(
            [_base_replies(context, progress), _adapter_replies(context, adapter_sha256, progress)]
        )
        return before, after
    before = await _base_replies(context, progress)
    return before, await _adapter_replies(context, adapter_sha256, progress)


async def _base_replies(context: RunContext, progress: Progress) -> tuple[str, ...]:
    async with await context.policy_client() as client:
        return await _replies(context, client, identity_of(context.model), progress)


async def _adapter_replies(context: RunContext, adapter_sha256: str, progress: Progress) -> tuple[str, ...]:
    """Merge the adapter into the base and ask the result on a server of its own, which ends with this stage."""
    folder = context.scratch / "merged"
    if not folder.exists():
        adapter = await fetch_adapter(context, context.scratch / "adapter")
        await _merge(context, adapter, folder)
    async with (
        context.tools.engines.leased(folder, context.model) as endpoint,
        context.sampling_client(endpoint) as client,
    ):
        return await _replies(context, client, f"{identity_of(context.model)}+{adapter_sha256}", progress)


async def _merge(context: RunContext, adapter: Path, folder: Path) -> None:
    arguments = ("--model", str(folder_of(context.model)), "--adapter", str(adapter), "--output", str(folder))

    async def ignore(_: str) -> None:
        return

    async def start() -> Ended:
        return await run_training(("merge", *arguments), context.scratch / "merge.log", ignore)

    async def mourn(number: int) -> None:
        await context.warn("evaluate", f"merging the adapter was killed by signal {number}; it begins again")

    ended = await run_again_when_killed(start, lambda: 0, mourn)
    if ended.status != 0:
        raise RunFailed(f"merging the adapter ended with status {ended.status}: {ended.complaint}; resume the run")


async def _verdicts(context: RunContext, meetings: Sequence[Sequence[Meeting]], progress: Progress) -> tuple[str, ...]:
    """The keys of the verdicts on all prompts' meetings."""
    judged = context.constitution.judged
    pairs = [questions_of(own) for own in meetings]
    if not judged or not any(pairs):
        return ()
    async with await context.judge_client() as client:
        return await ensure_verdicts(context, client, list(groups_of(pairs)), judged, progress)


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

"""An adapter beside its base on some prompts: both reply, the replies meet, and the judge sees them.

It is merged and served by an engine of its own. For the held-out proof (`evaluate.py`) and for a sweep (`sweep.py`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from constitutions.schema import JudgedPrinciple
from judges.client import ChatClient
from judges.gathering import all_of
from judges.records import Comparison, Preference, PrincipleVerdict, Prompt, Sample
from service.pipeline.context import RunContext
from service.pipeline.merging import ensure_merged
from service.pipeline.pairs import comparison_of
from service.pipeline.progress import Progress
from service.pipeline.replies import groups_of, sample_replies
from service.pipeline.sample import held_out_sampling, identity_of
from service.pipeline.trained import fetch_trained
from service.pipeline.verdicts import PromptPairs, ensure_verdicts
from service.schemas import Stage
from service.shards import read_shards
from training.evaluation import JudgedMeeting


@dataclass(frozen=True, slots=True)
class Meeting:
    """A reply of the base and one of the adapter to one prompt."""

    prompt: Prompt
    before: str
    after: str

    @property
    def comparison(self) -> Comparison:
        return comparison_of(self.prompt, self.before, self.after)


@dataclass(frozen=True, slots=True)
class Contest:
    """Which adapter meets the base, on which prompts, and the principles under which a judge is asked.

    `trained` is the adapter's folder among the artifacts, `scratch` one on this machine, which may be there already.
    """

    stage: Stage
    trained: str
    adapter_sha256: str
    prompts: tuple[Prompt, ...]
    judged: tuple[JudgedPrinciple, ...]
    scratch: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """The replies of both sides, their meetings prompt by prompt, the verdicts on these, and the shards' keys."""

    before: tuple[Sample, ...]
    after: tuple[Sample, ...]
    meetings: tuple[Meeting, ...]
    verdicts: tuple[PrincipleVerdict, ...]
    before_keys: tuple[str, ...]
    after_keys: tuple[str, ...]
    verdict_keys: tuple[str, ...]


async def meet_base(context: RunContext, contest: Contest, progress: Progress) -> Outcome:
    """Ensure the replies of both and the judge's verdicts on their meetings; as many as `evaluate` asks for."""
    before_keys, after_keys = await _both_replies(context, contest, progress)
    before = await read_shards(context.artifacts, before_keys, Sample)
    after = await read_shards(context.artifacts, after_keys, Sample)
    meetings = [meetings_of(prompt, before, after, meetings_per_prompt(context)) for prompt in contest.prompts]
    verdict_keys = await _verdicts(context, contest, meetings, progress)
    verdicts = await read_shards(context.artifacts, verdict_keys, PrincipleVerdict)
    return Outcome(before, after, tuple(itertools.chain(*meetings)), verdicts, before_keys, after_keys, verdict_keys)


def work_of(context: RunContext, prompts: int, judged: int) -> int:
    """What the progress counts: replies of both sides, and meetings under each judged principle."""
    return prompts * (2 * context.request.evaluate.replies_per_prompt + meetings_per_prompt(context) * judged)


def meetings_of(prompt: Prompt, before: Sequence[Sample], after: Sequence[Sample], most: int) -> tuple[Meeting, ...]:
    """The first replies of both sides meet, the second ones, and so on, `most` in all."""
    sides = zip(replies_to(prompt, before), replies_to(prompt, after), strict=True)
    return tuple([Meeting(prompt, old.reply, new.reply) for old, new in sides][:most])


def replies_to(prompt: Prompt, samples: Sequence[Sample]) -> list[Sample]:
    """The prompt's, in their order."""
    return sorted((s for s in samples if s.prompt_id == prompt.id), key=lambda s: s.index)


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


def meetings_per_prompt(context: RunContext) -> int:
    wanted = context.request.evaluate
    return wanted.replies_per_prompt if wanted.pairs_per_prompt is None else wanted.pairs_per_prompt


async def _both_replies(
    context: RunContext, contest: Contest, progress: Progress
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The shards of the base and of the adapter, whose server starts while the base still answers."""
    if context.tools.engines.side_by_side:
        before, after = await all_of(
            [_base_replies(context, contest, progress), _adapter_replies(context, contest, progress)]
        )
        return before, after
    before = await _base_replies(context, contest, progress)
    return before, await _adapter_replies(context, contest, progress)


async def _base_replies(context: RunContext, contest: Contest, progress: Progress) -> tuple[str, ...]:
    async with await context.policy_client() as client:
        return await _replies(context, client, contest, identity_of(context.model), progress)


async def _adapter_replies(context: RunContext, contest: Contest, progress: Progress) -> tuple[str, ...]:
    """Merge the adapter into the base and ask the result on a server of its own, which ends with this stage."""
    folder = contest.scratch / "merged"
    if not folder.exists():
        adapter = await fetch_trained(context, contest.trained, contest.scratch / "adapter")
        await ensure_merged(context, contest.stage, adapter, folder)
    async with (
        context.tools.engines.leased(folder, context.model) as endpoint,
        context.sampling_client(endpoint) as client,
    ):
        identity = f"{identity_of(context.model)}+{contest.adapter_sha256}"
        return await _replies(context, client, contest, identity, progress)


async def _replies(
    context: RunContext, client: ChatClient, contest: Contest, identity: str, progress: Progress
) -> tuple[str, ...]:
    return await sample_replies(context, client, contest.prompts, held_out_sampling(context, identity), progress)


async def _verdicts(
    context: RunContext, contest: Contest, meetings: Sequence[Sequence[Meeting]], progress: Progress
) -> tuple[str, ...]:
    """The keys of the verdicts on all prompts' meetings."""
    pairs = [questions_of(own) for own in meetings]
    if not contest.judged or not any(pairs):
        return ()
    async with await context.judge_client() as client:
        return await ensure_verdicts(context, client, list(groups_of(pairs)), contest.judged, progress)

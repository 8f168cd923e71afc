"""Stage `train` with a sweep: an adapter for each value of a knob, and the best on development prompts is the run's.

Each is trained by a child of its own and kept as any adapter is, so that a run that is killed goes on with the next.
Left out: the held-out prompts, which prove the one that was picked (`evaluate.py`).
"""

import asyncio
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from constitutions.schema import Constitution
from judges.checking import check_comparison
from judges.combine import combine_verdicts
from judges.qualify import Qualification, qualification_of
from judges.records import Abstention, PrincipleVerdict, Sample
from service.engines import folder_of
from service.errors import RunFailed, TrainerFailed
from service.pipeline.against_base import Contest, Meeting, meet_base, work_of
from service.pipeline.bundle import shown_config
from service.pipeline.calibration import fitted_weights, weights_of
from service.pipeline.context import RunContext
from service.pipeline.jobs import run_job
from service.pipeline.mix import no_weight
from service.pipeline.progress import Progress
from service.pipeline.qualification import examined, qualification_from
from service.pipeline.replies import refuse_too_long
from service.pipeline.sample import held_out_sampling, identity_of
from service.pipeline.train import Task, ensure_trained, run_train
from service.pipeline.trained import fetch_trained
from service.schemas import SweepSettings
from service.shards import read_shards
from service.store.records import JsonObject
from training.bundle import config_sha256
from training.sweep import Candidate, FailedCandidate, ReplyKl, Sweep, WinRate, best_of, win_rate

_KLS = TypeAdapter(tuple[ReplyKl, ...])
_FAILED = TypeAdapter(FailedCandidate)


@dataclass(frozen=True, slots=True)
class Trained:
    """The adapter of one value: its task, and what `ensure_trained` left of it."""

    value: float
    task: Task
    left: JsonObject

    @property
    def steps(self) -> int:
        return int(str(self.left["steps"]))


@dataclass(frozen=True, slots=True)
class Weighing:
    """How much each principle counts in the comparisons; `left` is what the stage's result says of how it was found."""

    weights: Mapping[str, float]
    left: JsonObject


@dataclass(frozen=True, slots=True)
class Compared:
    """How an adapter does on the development prompts, and the keys of the shards that show it."""

    win_rate: WinRate
    before: tuple[str, ...]
    after: tuple[str, ...]
    shards: tuple[str, ...]


_COMPARED = TypeAdapter(Compared)


async def run_sweep(context: RunContext) -> JsonObject:
    """Ensure every candidate and its comparison. Leaves what `run_train` does of the one picked, `sweep` (a
    `training.sweep.Sweep`) and `development`: the folders, the weights that decided, the principles that a judge was
    asked about, and the shards; where the run has no stage `judge`, the judge's qualification too. A value of which no
    adapter comes is left out, told and named in `sweep`.

    Without a sweep it is `run_train`. Raises RunFailed where no value leads to an adapter.
    """
    sweep = context.request.training.sweep
    if sweep is None:
        return await run_train(context)
    weighing = await development_weights(context)
    judged = tuple(p for p in context.constitution.judged if weighing.weights.get(p.id, 0.0) > 0)
    work = work_of(context, len(context.development), len(judged))
    tasks = tasks_of(context, sweep, later=work * len(sweep.values))
    await _refuse_long_development(context)
    tried = [
        await _ensure_tried(context, sweep.knob, value, task) for value, task in zip(sweep.values, tasks, strict=True)
    ]
    failed = tuple(one for one in tried if isinstance(one, FailedCandidate))
    trained = [one for one in tried if isinstance(one, Trained)]
    if not trained:
        raise RunFailed(_no_adapter(sweep.knob, failed))
    contests = [
        Contest(
            "train", one.task.folder, str(one.left["adapter_sha256"]), context.development, judged, one.task.scratch
        )
        for one in trained
    ]
    steps = sum(one.steps for one in trained)
    progress = context.progress("train", steps + work * len(trained))
    await progress.add(steps, new=False)
    compared = [await _ensure_compared(context, contest, weighing.weights, progress) for contest in contests]
    kls = await _kls(context, contests, compared)
    candidates = [
        Candidate(
            value=made.value,
            adapter_sha256=contest.adapter_sha256,
            config_sha256=await _config_sha256(context, contest.trained),
            win_rate=one.win_rate,
            kl=kl,
            stopped_early=made.left["stopped"] is not None,
        )
        for made, contest, one, kl in zip(trained, contests, compared, kls, strict=True)
    ]
    picked = best_of(candidates)
    result = Sweep(sweep.knob, tuple(candidates), picked.value, len(context.train), len(context.development), failed)
    return {
        **trained[candidates.index(picked)].left,
        "sweep": asdict(result),
        "development": {
            "folders": list[JsonValue](task.folder for task in tasks),
            "weights": dict(weighing.weights),
            "judged": [principle.id for principle in judged],
            "shards": _shards(compared),
            **weighing.left,
        },
    }


def _shards(compared: Sequence[Compared]) -> list[JsonValue]:
    return [*sorted({key for one in compared for key in (*one.before, *one.after, *one.shards)})]


async def _refuse_long_development(context: RunContext) -> None:
    """What the candidates could not answer is told before any is trained; else the stage `sample` does it."""
    if context.request.training.online:
        async with await context.policy_client() as client:
            sampling = held_out_sampling(context, identity_of(context.model))
            await refuse_too_long(client, context.development, sampling)


async def _ensure_tried(context: RunContext, knob: str, value: float, task: Task) -> Trained | FailedCandidate:
    """The value's adapter, or why its settings lead to none: kept too, so that it is found and told once."""
    key = f"{task.folder}/failed.json"
    if await context.artifacts.exists(key):
        return _FAILED.validate_json(await context.artifacts.get(key))
    try:
        return Trained(value, task, await ensure_trained(context, task))
    except TrainerFailed as error:
        failed = FailedCandidate(value, error.complaint)
        await context.warn("train", f"the sweep leaves {knob} {value:g} out: {error.complaint}")
        await context.artifacts.put_new(key, _FAILED.dump_json(failed))
        return failed


def _no_adapter(knob: str, failed: Sequence[FailedCandidate]) -> str:
    reasons = "; ".join(f"{knob} {one.value:g}: {one.reason}" for one in failed)
    return f"training.sweep: no value led to an adapter; start another run with other settings. {reasons}"


def tasks_of(context: RunContext, sweep: SweepSettings, later: int) -> list[Task]:
    """One a value, in their order; `later` pieces of work follow them."""
    names = [f"{sweep.knob}-{value}" for value in sweep.values]
    return [
        Task(
            settings=context.request.training.with_value(value),
            folder=f"trained/{context.run.id}/{name}",
            scratch=context.scratch / "sweep" / name,
            number=number,
            of=len(names),
            later=later,
            told={sweep.knob: value},
        )
        for number, (value, name) in enumerate(zip(sweep.values, names, strict=True))
    ]


async def development_weights(context: RunContext) -> Weighing:
    """How much each principle counts: what it did in the mix, else as far as the judge is qualified.

    Raises RunFailed, before anything is trained, where none does.
    """
    stages = await context.tools.store.runs.stages(context.run.id)
    fitted: Mapping[str, float] = {}
    left: JsonObject = {}
    if "judge" in stages:
        judged = stages["judge"].result
        qualification = qualification_from(judged["qualification"])
        fitted = fitted_weights(judged.get("calibration"))
    else:
        qualification, left = await _qualified_now(context)
    weights = fitted or weights_of(context, qualification)
    if not any(weights.values()):
        raise RunFailed(
            f"training.sweep: nothing can compare its adapters: {no_weight(context.constitution, qualification)}"
        )
    return Weighing(weights, left)


def wins_of(
    meetings: Sequence[Meeting], verdicts: Sequence[PrincipleVerdict], weights: Mapping[str, float], law: Constitution
) -> Mapping[str, list[float]]:
    """By prompt the beliefs that the adapter's reply is the better one, checks and judge together as in the mix.

    Equal texts are a draw; a meeting on which every weighted principle abstains is none.
    """
    by_pair: dict[str, list[PrincipleVerdict]] = defaultdict(list)
    for verdict in verdicts:
        by_pair[verdict.comparison_id].append(verdict)
    wins: dict[str, list[float]] = defaultdict(list)
    for meeting in meetings:
        if meeting.before == meeting.after:
            wins[meeting.prompt.id].append(0.5)
            continue
        pair = meeting.comparison
        checked = [check_comparison(pair, principle) for principle in law.checked]
        combined = combine_verdicts([*checked, *by_pair[pair.id]], weights)
        if not isinstance(combined, Abstention):
            wins[meeting.prompt.id].append(combined.p_a if pair.a == meeting.after else 1 - combined.p_a)
    return wins


async def _qualified_now(context: RunContext) -> tuple[Qualification, JsonObject]:
    """Of a run without the stage `judge`. No judge is started for a constitution of checks alone."""
    if not context.constitution.judged:
        return qualification_of(context.judge.served_name, context.constitution, ()), {}
    async with await context.judge_client() as client:
        return await examined(context, client)


async def _ensure_compared(
    context: RunContext, contest: Contest, weights: Mapping[str, float], progress: Progress
) -> Compared:
    """Kept beside the adapter: what was compared before is not merged and served again."""
    key = f"{contest.trained}/development.json"
    if await context.artifacts.exists(key):
        await progress.add(work_of(context, len(contest.prompts), len(contest.judged)), new=False)
        return _COMPARED.validate_json(await context.artifacts.get(key))
    met = await meet_base(context, contest, progress)
    found = Compared(
        win_rate(wins_of(met.meetings, met.verdicts, weights, context.constitution)),
        met.before_keys,
        met.after_keys,
        met.verdict_keys,
    )
    await context.artifacts.put_new(key, _COMPARED.dump_json(found))
    # As large as the base; the next candidate makes its own.
    await asyncio.to_thread(shutil.rmtree, contest.scratch / "merged", ignore_errors=True)
    return found


async def _config_sha256(context: RunContext, trained: str) -> str:
    """As the manifest hashes it."""
    text = await context.artifacts.get(f"{trained}/config.json")
    return config_sha256(shown_config(text, context.request.training))


async def _kls(context: RunContext, contests: Sequence[Contest], compared: Sequence[Compared]) -> tuple[ReplyKl, ...]:
    """Of every candidate on its own development replies, by one child for all: the base is loaded once."""
    await context.tools.engines.make_room_for_training()
    arguments = ["kl", "--model", str(folder_of(context.model))]
    arguments += ["--tokens-per-batch", str(context.request.training.tokens_per_batch)]
    for contest, one in zip(contests, compared, strict=True):
        adapter = await fetch_trained(context, contest.trained, contest.scratch / "adapter")
        replies = contest.scratch / "replies.jsonl"
        await asyncio.to_thread(
            _write_replies, replies, contest, await read_shards(context.artifacts, one.after, Sample)
        )
        arguments += ["--of", str(adapter), str(replies)]
    said = await run_job(context, "train", "measuring the KL", arguments, context.scratch / "sweep" / "kl.log")
    return _KLS.validate_python(json.loads(said[-1])["kl"])


def _write_replies(path: Path, contest: Contest, samples: Sequence[Sample]) -> None:
    messages = {prompt.id: prompt.messages for prompt in contest.prompts}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for sample in samples:
            turns: list[JsonValue] = [{"role": m.role, "content": m.content} for m in messages[sample.prompt_id]]
            line = {"prompt": turns, "reply": sample.reply, "finished": sample.finish_reason == "stop"}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

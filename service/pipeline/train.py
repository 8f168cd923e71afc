"""Stage `train`: the trainer as a child process. Killed, it is started again and goes on from its last checkpoint."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from judges.errors import JudgeUnavailable
from service.engines import folder_of
from service.errors import RunFailed, TrainerFailed
from service.pipeline.children import MOST_DEATHS_WITHOUT_PROGRESS, Ended, run_again_when_killed
from service.pipeline.context import RunContext
from service.pipeline.demonstration_rows import demonstration_rows
from service.pipeline.last_good import LastGood, keep_last_good
from service.pipeline.progress import Progress
from service.pipeline.revision_rows import revision_rows
from service.pipeline.scoring import open_scoring, watching_knobs
from service.pipeline.start import fetch_start
from service.pipeline.trained import ADAPTER_FILES, blanks_said
from service.pipeline.trainer_knobs import trainer_knobs
from service.pipeline.weights import clear_other_base, refuse_other_base
from service.schemas import TrainingSettings
from service.shards import read_shard
from service.store.records import JsonObject, NewEvent
from training.errors import NO_ADAPTER_STATUS, OUT_OF_MEMORY_STATUS
from training.rows import PreferenceRow, write_prompts, write_rows

_LAW = "constitution.yaml"
_SCORES = "scores.json"
_PAIRS = "pairs.jsonl"
_LESS_MEMORY = (
    "resume the run with a lower training.tokens_per_batch or with training.gradient_checkpointing: true, and it goes "
    "on from its last checkpoint"
)


@dataclass(frozen=True, slots=True)
class Task:
    """One adapter to train: with which settings, where in the store and on this machine.

    A sweep trains `of` adapters, this one after `number` others, and then does `later` more pieces of work. `told`
    stands in the events that hold its metrics.
    """

    settings: TrainingSettings
    folder: str
    scratch: Path
    number: int = 0
    of: int = 1
    later: int = 0
    told: Mapping[str, JsonValue] = field(default_factory=dict)


async def run_train(context: RunContext) -> JsonObject:
    """Ensure the trained adapter in the artifact store. Leaves its `folder` there and the trainer's result.

    Of a reward model it leaves `reward_model` too: a `training.reward_evidence.RewardEvidence`; of PPO and RLOO
    `scores`: what scored, and how the judge stood.
    """
    return await ensure_trained(
        context, Task(context.request.training, f"trained/{context.run.id}", context.scratch / "train")
    )


async def ensure_trained(context: RunContext, task: Task) -> JsonObject:
    """As `run_train` says, of one task. Raises TrainerFailed where its settings lead to no adapter."""
    folder = task.folder
    if not await context.artifacts.exists(f"{folder}/result.json"):
        await context.tools.engines.make_room_for_training()
        output = await _train(context, task)
        for name in ADAPTER_FILES:
            await context.artifacts.put_file(f"{folder}/{name}", output / "adapter" / name)
        await context.artifacts.put_file(f"{folder}/metrics.jsonl", output / "metrics.jsonl")
        await context.artifacts.put_file(f"{folder}/config.json", output / "config.json")
        if context.request.training.online:
            await context.artifacts.put_file(f"{folder}/{_SCORES}", output.parent / _SCORES)
        await context.artifacts.put_file(f"{folder}/result.json", output / "result.json")
        if task.number == 0 and (said := blanks_said(json.loads((output / "result.json").read_text()))):
            await context.warn("train", said)
    result: dict[str, JsonValue] = json.loads(await context.artifacts.get(f"{folder}/result.json"))
    kept = ("steps", "seconds", "rows", "dropped", "last_step", "precision", "device", "adapter_sha256")
    left = {"folder": folder, "peak_memory_bytes": result["peak_memory_bytes"], **{key: result[key] for key in kept}}
    # What a trainer of before limits left says nothing of them: it was not stopped.
    left |= {"stopped": result.get("stopped"), "adapter_step": result.get("adapter_step", result["steps"])}
    left["blank_replies"] = result.get("blank_replies", {})  # PPO and RLOO have none
    if context.request.training.writes_replies:
        left["held_out"] = result.get("held_out")
    # A run of before there were several scores left nothing of them.
    if context.request.training.online and await context.artifacts.exists(f"{folder}/{_SCORES}"):
        left["scores"] = json.loads(await context.artifacts.get(f"{folder}/{_SCORES}"))
    if not context.request.training.writes_replies:
        left["reward_model"] = {key: result[key] for key in ("normal", "held_out")}
    return left


async def _train(context: RunContext, task: Task) -> Path:
    """Run the trainer until it is done, and again when something killed it."""
    folder = task.scratch
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    await asyncio.to_thread(clear_other_base, context.model, folder / "output")
    await asyncio.to_thread((folder / _LAW).write_text, context.constitution_source)
    if not context.request.training.online:
        await asyncio.to_thread(write_rows, folder / "rows.jsonl", await _preference_rows(context))
        return await _train_on(context, task, watching_knobs(context, folder / _LAW))
    await asyncio.to_thread(write_prompts, folder / "rows.jsonl", context.train)
    kept: dict[str, JsonValue] = {}
    if context.request.training.reads_pairs:  # PPO-ptx
        await asyncio.to_thread(write_rows, folder / _PAIRS, await _preference_rows(context))
        kept["ptx_rows"] = str(folder / _PAIRS)
    async with open_scoring(context, folder / _LAW, folder) as scoring:
        await asyncio.to_thread((folder / _SCORES).write_text, json.dumps(scoring.left))
        return await _train_on(context, task, {**scoring.knobs, **kept})


async def _train_on(context: RunContext, task: Task, knobs: Mapping[str, JsonValue]) -> Path:
    """The trainer on the rows that lie in the task's folder; `knobs` go over those of the request."""
    folder, deaths = task.scratch, context.tools.engines.deaths()
    output, config = folder / "output", folder / "config.yaml"
    start_adapter = await fetch_start(context, context.start) if context.start else None
    # JSON is YAML too.
    text = json.dumps(_config(context, task, start_adapter) | dict(knobs), indent=2)
    await asyncio.to_thread(config.write_text, text)
    watch = _Watch(context, output, task)

    async def start() -> Ended:
        return await context.tools.run_training((task.settings.method, str(config)), folder / "trainer.log", watch.read)

    async def mourn(number: int) -> None:
        await context.warn("train", f"the trainer was killed by signal {number}; it goes on where it was")

    ended = await run_again_when_killed(start, lambda: watch.furthest, mourn)
    if ended.status > 0 and context.tools.engines.deaths() > deaths:
        raise JudgeUnavailable(ended.complaint)  # the judge died beneath the trainer, which goes on with a new one
    if ended.status != 0:
        raise await _failure(context, task, ended, watch.last_good)
    await refuse_other_base(context, output)
    return output


async def _failure(context: RunContext, task: Task, ended: Ended, last_good: LastGood | None) -> RunFailed:
    """What the run's owner is told. The last good adapter, where there is one, is the run's from now on."""
    trainer = "".join(["the trainer", *(f" of {knob} {value}" for knob, value in task.told.items())])
    if ended.status < 0:
        return RunFailed(
            f"{trainer} was killed {MOST_DEATHS_WITHOUT_PROGRESS + 1} times in a row by signal {-ended.status} and got "
            f"no further; if memory ran out, {_LESS_MEMORY}, or lower training.max_tokens in a new run",
            "killed",
        )
    cause = ended.complaint.removeprefix("error: ")
    if last_good is not None:
        scores = json.loads((task.scratch / _SCORES).read_text()) if task.settings.online else None
        kept = await keep_last_good(context, last_good, scores, task.number + 1 if task.told else 0)
        cause = f"{last_good.cause}; the adapter of step {last_good.step} is kept as {kept.id}"
        cause += ", for start_from of another run" if task.settings.writes_replies else ""
    said = f"{trainer} ended with status {ended.status}: {cause}"
    if ended.status == NO_ADAPTER_STATUS:
        return TrainerFailed(f"{said}; start another run with other settings", cause)
    if ended.status == OUT_OF_MEMORY_STATUS:
        return RunFailed(f"{said}; {_LESS_MEMORY}, or start another with other settings", "out_of_memory")
    return RunFailed(f"{said}; mend it and resume the run, or start another with other settings")


async def _preference_rows(context: RunContext) -> Sequence[PreferenceRow]:
    match context.request.training.sft_on:
        case "revisions":
            return await revision_rows(context)
        case "demonstrations":
            return await demonstration_rows(context)
    mixed = (await context.result_of("mix")).result
    return await read_shard(context.artifacts, str(mixed["artifact"]), PreferenceRow)


def _config(context: RunContext, task: Task, start: Path | None) -> dict[str, JsonValue]:
    folder = task.scratch
    places: dict[str, JsonValue] = {
        "model": str(folder_of(context.model)),
        "rows": str(folder / "rows.jsonl"),
        "output": str(folder / "output"),
        "seed": context.request.seed,
    }
    if start is not None:
        places["start_adapter"] = str(start)
    return places | trainer_knobs(task.settings)


class _Watch:
    """Reads the trainer's lines: progress and the numbers of each step become events, what it kept is noted."""

    def __init__(self, context: RunContext, output: Path, task: Task) -> None:
        self._context = context
        self._task = task
        self._output = output
        self._progress: Progress | None = None
        self.furthest = 0
        self.last_good: LastGood | None = None

    async def read(self, line: str) -> None:
        """One line of the trainer's stdout; what is not one of its JSON lines comes from a library."""
        if line.startswith('{"type": "kept"'):
            self.last_good = LastGood.from_line(line)
        if not line.startswith('{"type": "progress"'):
            return
        values: dict[str, JsonValue] = json.loads(line)
        done, total = int(str(values.pop("done"))), int(str(values.pop("total")))
        values.pop("type")
        if self._progress is None:
            await refuse_other_base(self._context, self._output)
        task, before = self._task, self._task.number * total
        self._progress = self._progress or self._context.progress("train", task.of * total + task.later)
        await self._progress.set(before + done)
        self.furthest = max(self.furthest, done)
        event = NewEvent("train", "metric", done=done, total=total, data={**task.told, **values})
        await self._context.tools.store.runs.add_event(self._context.run.id, event)

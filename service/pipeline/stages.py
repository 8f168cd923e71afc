"""One stage of a run: skipped where it is done, started and ended with an event, done again when a server died.

The last stage empties the run's scratch folder. A run that ends before that keeps it, to be resumed, until it is
deleted and the garbage collected (`service/gc.py`).
"""

import shutil
import time
from collections.abc import Awaitable, Callable, Mapping

from judges.errors import EngineFailed, JudgeUnavailable
from service.errors import RunFailed
from service.pipeline.bundle import run_bundle
from service.pipeline.context import RunContext
from service.pipeline.evaluate import run_evaluate
from service.pipeline.judge import run_judge
from service.pipeline.mix import run_mix
from service.pipeline.revise import run_revise
from service.pipeline.sample import run_sample
from service.pipeline.sweep import run_sweep
from service.pipeline.trainer_knobs import trainer_config
from service.schemas import STAGES, Stage
from service.store.records import JsonObject, NewEvent
from training.quantising import refuse_quantising

MOST_SERVER_DEATHS = 5
STAGE_WORK: Mapping[Stage, Callable[[RunContext], Awaitable[JsonObject]]] = {
    "sample": run_sample,
    "revise": run_revise,
    "judge": run_judge,
    "mix": run_mix,
    "train": run_sweep,
    "evaluate": run_evaluate,
    "bundle": run_bundle,
}


async def run_stage(context: RunContext, stage: Stage) -> None:
    """Ensure that the stage's result is recorded. Done twice at once it is still recorded once.

    Raises ConfigError before the first stage where this machine cannot train as is asked.
    """
    runs = context.tools.store.runs
    done = await runs.stages(context.run.id)
    if stage in done:
        return
    if "train" in context.request.stages and "train" not in done:
        # At the first stage already: what comes before the training may be dear.
        refuse_quantising(trainer_config(context.request.training), on_gpu=not context.tools.engines.side_by_side)
    began = time.monotonic()
    context.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    await runs.add_event(context.run.id, NewEvent(stage, "stage", data={"status": "started"}))
    result = await _work(context, stage)
    seconds = time.monotonic() - began
    await runs.record_stage(context.run.id, stage, result, seconds)
    ended: JsonObject = {"status": "finished", "seconds": round(seconds, 3)}
    await runs.add_event(context.run.id, NewEvent(stage, "stage", data=ended))
    if stage == max(context.request.stages, key=STAGES.index):
        shutil.rmtree(context.scratch, ignore_errors=True)


async def _work(context: RunContext, stage: Stage) -> JsonObject:
    """The stage's work; when one of our own servers died under it, again with a new one: shards are kept."""
    redone = 0
    while True:
        deaths = context.tools.engines.deaths()
        try:
            return await STAGE_WORK[stage](context)
        except (JudgeUnavailable, EngineFailed) as error:
            redone += 1
            if context.tools.engines.deaths() == deaths or redone > MOST_SERVER_DEATHS:
                raise RunFailed(_with_remedy(error)) from error
            await context.warn(stage, f"a model server died ({error}); starting another")


def _with_remedy(error: JudgeUnavailable | EngineFailed) -> str:
    first, *log = str(error).split("\n", 1)
    return "\n".join([f"{first.rstrip(':')}; then resume the run", *log])

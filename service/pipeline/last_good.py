"""A training that lost a number, or ran out of memory: its last good adapter becomes one of the run's, with its bundle.

The trainer saves it and names it in a line on stdout (`training/finishing.py`). Left out: the checkpoint itself, from
which the run goes on when it is resumed.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import JsonValue

from service.pipeline.bundle import Trained, adapter_name, store_bundle
from service.pipeline.context import RunContext
from service.store.records import AdapterRecord, JsonObject, StageRecord
from training.metrics import keep_metrics_until


@dataclass(frozen=True, slots=True)
class LastGood:
    """The adapter of the last good step, as a folder on this machine, and the error that came after it."""

    step: int
    adapter: Path
    cause: str

    @classmethod
    def from_line(cls, line: str) -> Self:
        """As the trainer tells it."""
        told = json.loads(line)
        return cls(int(told["step"]), Path(told["adapter"]), str(told["cause"]))


async def keep_last_good(context: RunContext, found: LastGood, scores: JsonValue, candidate: int = 0) -> AdapterRecord:
    """Ensure that it is stored. `scores` is what scored the replies, as the stage `train` leaves it; `candidate` counts
    the values of a sweep from 1, 0 without one."""
    output = found.adapter.parent
    # What came after the step is not of this adapter, and is what a resumed training drops.
    await asyncio.to_thread(keep_metrics_until, output / "metrics.jsonl", found.step)
    so_far: JsonObject = {"scores": scores, "dropped": {}}
    stages = await context.tools.store.runs.stages(context.run.id)
    place = f"-value-{candidate}" if candidate else ""
    trained = Trained(
        name=f"{adapter_name(context)}{place}-step-{found.step}",
        adapter=found.adapter,
        metrics=output / "metrics.jsonl",
        config=output / "config.json",
        last_good_step=found.step,
        notes=(
            f"The training failed after step {found.step}, of which this adapter is, and nothing was measured with it: "
            f"{found.cause}.",
        ),
    )
    return await store_bundle(context, {**stages, "train": StageRecord("train", so_far, 0.0, "")}, trained)

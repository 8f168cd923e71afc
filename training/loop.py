"""The steps of a run: rate, gradients, clipping, AdamW, metrics, checkpoint. What the loss is, the trainer says."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from training.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from training.configs import TrainConfig
from training.errors import TrainingError
from training.memory import memory_advice
from training.metrics import append_metrics, keep_metrics_until, print_progress
from training.model import Policy
from training.run_folder import RunFolder
from training.schedule import Plan, learning_rate_at

# Clipping the gradient's norm at 1 is what every published recipe does.
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step's loss function saw: `metrics` (means over the step) and how many tokens went through."""

    metrics: Mapping[str, float]
    tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished loop: its steps, the seconds spent over all starts, the last step's metrics."""

    steps: int
    seconds: float
    metrics: Mapping[str, float]


def run_steps(
    config: TrainConfig,
    policy: Policy,
    folder: RunFolder,
    plan: Plan,
    *,
    kept: dict[str, Tensor],
    add_gradients: Callable[[tuple[int, ...]], StepReport],
) -> Outcome:
    """Go from the newest checkpoint (or the start) to the last step.

    `add_gradients(row numbers)` adds the mean gradient of the rows and reports. `kept` are tensors that the trainer
    fills as it goes; they are saved and restored in place.
    """
    weights = policy.adapter_weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=0.0)
    start = load_newest_checkpoint(folder.checkpoints, weights, optimizer) or Checkpoint(0, 0.0, {})
    for name, tensor in start.kept.items():
        kept[name].copy_(tensor)
    keep_metrics_until(folder.metrics, start.step)
    values: dict[str, float] = {}
    began = time.monotonic() - start.seconds
    print_progress(start.step, plan.steps, {})
    for step in range(start.step, plan.steps):
        step_began = time.monotonic()
        rate = learning_rate_at(step, plan.steps, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        with memory_advice():
            report = add_gradients(plan.rows_of_step(step))
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), MAX_GRADIENT_NORM).item()
        if not math.isfinite(norm):
            raise TrainingError(
                f"step {step + 1}: the gradient is {norm}; lower learning_rate (last checkpoint is kept)"
            )
        optimizer.step()
        now = time.monotonic()
        values = {"step": step + 1, **report.metrics, "lr": rate, "gradient_norm": norm}
        values |= {"tokens_per_s": report.tokens / (now - step_began), "seconds": now - began}
        append_metrics(folder.metrics, values)
        if (step + 1) % config.checkpoint_every_steps == 0 or step + 1 == plan.steps:
            save_checkpoint(folder.checkpoints, Checkpoint(step + 1, now - began, kept), weights, optimizer)
        print_progress(step + 1, plan.steps, values)
    return Outcome(plan.steps, time.monotonic() - began, values)


def refuse_broken_loss(loss_B: Tensor, row_ids: tuple[str, ...]) -> None:
    """A loss that is not a number ends the run and names its row."""
    for row_id, finite in zip(row_ids, torch.isfinite(loss_B).tolist(), strict=True):
        if not finite:
            raise TrainingError(
                f"row {row_id!r}: the loss is not a number; lower learning_rate, or look at the row "
                "(the last checkpoint is kept)"
            )

"""The steps of a run: rate, gradients, clipping, AdamW, metrics, limits, checkpoint. The loss is the trainer's."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.checkpoints import Checkpoint, checkpoint_steps, load_newest_checkpoint, load_weights, save_checkpoint
from training.configs import TrainConfig
from training.errors import TrainingError
from training.limits import Stop, Watch, watch_again
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
    """A finished loop: the steps done, the seconds spent over all starts, the last step's metrics.

    `stopped` says which limit ended it early, None where none did. The adapter is that of step `adapter_step`.
    """

    steps: int
    seconds: float
    metrics: Mapping[str, float]
    stopped: Stop | None
    adapter_step: int


def run_steps(
    config: TrainConfig,
    policy: Policy,
    folder: RunFolder,
    plan: Plan,
    *,
    kept: dict[str, Tensor],
    add_gradients: Callable[[tuple[int, ...]], StepReport],
    measure: Callable[[], Mapping[str, float]],
) -> Outcome:
    """Go from the newest checkpoint (or the start) to the last step, or to the step that breaks one of the limits.

    `add_gradients(row numbers)` adds the mean gradient of the rows and reports. `kept` are tensors that the trainer
    fills as it goes; they are saved and restored in place. `measure` scores the policy on what is not trained on
    (training/limits.py says how); it is called before each checkpoint, where `patience` asks for it.
    """
    weights = policy.adapter_weights()
    optimizer = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=0.0)
    start = load_newest_checkpoint(folder.checkpoints, weights, optimizer) or Checkpoint(0, 0.0, {})
    for name, tensor in start.kept.items():
        kept[name].copy_(tensor)
    lines = keep_metrics_until(folder.metrics, start.step)
    watch, values = watch_again(config.limits, lines), dict(lines[-1]) if lines else {}
    began = time.monotonic() - start.seconds
    print_progress(start.step, plan.steps, {})
    for step in range(start.step, plan.steps):
        step_began, rate = time.monotonic(), learning_rate_at(step, plan.steps, config)
        report, norm = take_step(step + 1, optimizer, rate, functools.partial(add_gradients, plan.rows_of_step(step)))
        now = time.monotonic()
        values = {"step": step + 1, **report.metrics, "lr": rate, "gradient_norm": norm}
        values |= {"tokens_per_s": report.tokens / (now - step_began), "seconds": now - began}
        saving = (step + 1) % config.checkpoint_every_steps == 0 or step + 1 == plan.steps
        if saving and config.patience:
            with memory_advice():
                values |= measure()
        append_metrics(folder.metrics, values)
        watch = watch.after(step + 1, values)
        if saving and not watch.stop:
            checkpoint = Checkpoint(step + 1, time.monotonic() - began, kept)
            save_checkpoint(folder.checkpoints, checkpoint, weights, optimizer, older_to_keep(folder, watch))
        print_progress(step + 1, plan.steps, values)
        if watch.stop:
            break
    return Outcome(
        steps=watch.stop.step if watch.stop else plan.steps,
        seconds=time.monotonic() - began,
        metrics=values,
        stopped=watch.stop,
        adapter_step=load_best_weights(folder, watch, weights),
    )


def take_step(
    step: int, optimizer: torch.optim.Optimizer, rate: float, add_gradients: Callable[[], StepReport]
) -> tuple[StepReport, float]:
    """One step of AdamW at the rate; returns the report and the gradient's norm before it was clipped."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    with memory_advice():
        report = add_gradients()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(weights, MAX_GRADIENT_NORM).item()
    if not math.isfinite(norm):
        raise TrainingError(f"step {step}: the gradient is {norm}; lower learning_rate (last checkpoint is kept)")
    optimizer.step()
    return report, norm


def older_to_keep(folder: RunFolder, watch: Watch) -> tuple[int, ...]:
    """The steps of the checkpoints that a run with limits may go back to, beside the newest."""
    best = (watch.best.step,) if watch.limits.patience and watch.best else ()
    # What a step reports was seen before its update: a limit broken right after a checkpoint was broken by it.
    last = checkpoint_steps(folder.checkpoints)[-1:] if any(watch.limits.bounds()) else ()
    return (*best, *last)


def load_best_weights(folder: RunFolder, watch: Watch, weights: dict[str, nn.Parameter]) -> int:
    """Leave in `weights` what is to be saved, and return its step.

    That is the best checkpoint where there is patience for one, else the last; none that broke a limit.
    """
    steps = checkpoint_steps(folder.checkpoints)
    good = [step for step in steps if not watch.stop or step < watch.stop.step - 1]
    if watch.stop and not good:
        raise TrainingError(
            f"step {watch.stop.step}: {watch.stop.metric} is {watch.stop.value:.4g}, beyond its limit "
            f"{watch.stop.limit:.4g}, and no checkpoint is older; lower learning_rate or checkpoint_every_steps"
        )
    best = watch.best.step if watch.limits.patience and watch.best else 0
    step = best if best in good else good[-1]
    if watch.stop or step != steps[-1]:
        load_weights(folder.checkpoints, step, weights)
    return step


@contextlib.contextmanager
def memory_advice() -> Iterator[None]:
    """Turn an out-of-memory error into one that names the knob."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError("the GPU is out of memory; lower tokens_per_batch or set gradient_checkpointing") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise TrainingError("out of memory; lower tokens_per_batch or set gradient_checkpointing") from error


def refuse_broken_loss(loss_B: Tensor, row_ids: tuple[str, ...]) -> None:
    """A loss that is not a number ends the run and names its row."""
    for row_id, finite in zip(row_ids, torch.isfinite(loss_B).tolist(), strict=True):
        if not finite:
            raise TrainingError(
                f"row {row_id!r}: the loss is not a number; lower learning_rate, or look at the row "
                "(the last checkpoint is kept)"
            )

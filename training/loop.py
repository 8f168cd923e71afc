"""The steps of a run: rate, gradients, clipping, AdamW, metrics, limits, checkpoint. The loss is the trainer's."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from training.checkpoints import Checkpoint, checkpoint_steps, load_newest_checkpoint, load_weights, save_checkpoint
from training.configs import OnlineConfig, TrainConfig
from training.errors import LostNumber, NoAdapter, TrainingError
from training.limits import Stop, Watch, watch_again
from training.metrics import append_metrics, keep_metrics_until, print_progress
from training.publish import sync
from training.ranks import this_rank
from training.run_folder import RunFolder
from training.schedule import Plan, learning_rate_at
from training.sharding import shares_base
from training.shares import (
    Share,
    StepReport,
    add_up_gradients,
    share_in_lockstep,
    share_of,
    share_of_minibatches,
    shared_report,
)

# Clipping the gradient's norm at 1 is what every published recipe does.
MAX_GRADIENT_NORM = 1.0
# In checkpoints. A look at replies costs as much as a step, so that one at each of them would be a tenth of the time.
RARE_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished loop: the steps done, the seconds spent over all starts, the last step's metrics.

    `stopped` says which limit ended it early, None where none did. The weights are those of step `adapter_step`.
    """

    steps: int
    seconds: float
    metrics: Mapping[str, float]
    stopped: Stop | None
    adapter_step: int


@dataclass(frozen=True, slots=True)
class Step:
    """Step `number`, counted from 0, and this rank's share of it. `update` clips the gradients that all ranks added,
    moves the weights and clears the gradients; it returns their norm before clipping. `forget` clears them alone."""

    number: int
    share: Share
    update: Callable[[], float]
    forget: Callable[[], None]

    @property
    def rows(self) -> tuple[int, ...]:
        """The numbers of this rank's rows."""
        return self.share.rows


def run_steps(
    config: TrainConfig,
    weights: dict[str, nn.Parameter],
    folder: RunFolder,
    plan: Plan,
    *,
    kept: dict[str, Tensor],
    take_step: Callable[[Step], StepReport],
    measure: Callable[[], Mapping[str, float]] | None = None,
    look: Callable[[], Mapping[str, float]] | None = None,
) -> Outcome:
    """Go from the newest checkpoint (or the start) to the last step, or to the one that breaks a limit of the config.

    `take_step` adds gradients to `weights`, updates them once or several times, and reports. `kept` are tensors that
    the trainer fills as it goes (NaN where it has not); they are saved and restored in place. `measure` scores the
    policy on what is not trained on (limits.py says how), before each checkpoint where there is patience; `look` says
    what its replies are like (`is_time_to_look`); None where nothing is held out. Several ranks share a step's rows
    and have the same weights after it; the first one writes.
    """
    ranks = this_rank()
    optimizer = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=0.0)
    start = load_newest_checkpoint(folder.checkpoints, weights, optimizer) or Checkpoint(0, 0.0, {})
    for name, tensor in start.kept.items():
        kept[name].copy_(tensor)
    lines = ranks.from_first(lambda: lines_before(config, folder, start.step))
    watch, values = watch_again(config.limits, lines), dict(lines[-1]) if lines else {}
    measured: Mapping[str, float] = {}
    began = time.monotonic() - start.seconds
    if ranks.first:
        print_progress(start.step, plan.steps, {})
    for number in range(start.step, plan.steps):
        step_began = time.monotonic()
        rate = learning_rate_at(number, plan.steps, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        share = share_of_step(config, plan, number)
        update = partial(updated, optimizer, weights, number, share)
        report = take_step(Step(number, share, update, optimizer.zero_grad))
        now = time.monotonic()
        values = {"step": number + 1, **report.metrics, "lr": rate}
        values |= {"tokens_per_s": report.tokens / (now - step_began), "seconds": now - began}
        saving = (number + 1) % config.checkpoint_every_steps == 0 or number + 1 == plan.steps
        if saving:
            seen = look if is_time_to_look(config, number + 1, plan.steps) else None
            measured = measured_by(seen, measure if config.limits.patience else None)
            values |= measured
        values = ranks.from_first(partial(written, folder, values))
        watch = watch.after(number + 1, values)
        if saving and not watch.stop:
            save_step(folder, Checkpoint(number + 1, time.monotonic() - began, kept), weights, optimizer, watch)
        if ranks.first:
            print_progress(number + 1, plan.steps, values)
        if watch.stop:
            break
    ranks.wait()  # for the last checkpoint
    # What is measured is of the weights after the update, what a step reports of those before it.
    newest = plan.steps if not watch.stop else watch.stop.step - (1 if watch.stop.metric in measured else 2)
    done, step = time.monotonic() - began, load_best_weights(folder, watch, newest, weights)
    return Outcome(watch.stop.step if watch.stop else plan.steps, done, values, watch.stop, step)


def is_time_to_look(config: TrainConfig, step: int, steps: int) -> bool:
    """At each checkpoint where a limit reads what is seen; else at each fourth, and after the last step."""
    every = 1 if config.limits.read_replies else RARE_LOOKS
    return step == steps or step % (every * config.checkpoint_every_steps) == 0


def share_of_step(config: TrainConfig, plan: Plan, number: int) -> Share:
    """This rank's share of a step; in lockstep with the others where they share the base."""
    rows, ranks = plan.rows_of_step(number), this_rank()
    if shares_base(config):
        return share_in_lockstep(rows, plan.tokens, ranks, config.tokens_per_batch)
    if isinstance(config, OnlineConfig):
        return share_of_minibatches(rows, plan.tokens, ranks, config.minibatches)
    return share_of(rows, plan.tokens, ranks)


def written(folder: RunFolder, values: dict[str, float]) -> dict[str, float]:
    """What the first rank measured and timed is what stands in the file, and decides for all of them."""
    append_metrics(folder.metrics, values)
    return values


def lines_before(config: TrainConfig, folder: RunFolder, step: int) -> tuple[Mapping[str, float], ...]:
    """The metrics of the steps that are done. Raises TrainingError where patience lacks one: it forgot its best."""
    lines = keep_metrics_until(folder.metrics, step)
    if config.limits.patience and [line["step"] for line in lines] != list(range(1, step + 1)):
        raise TrainingError(
            f"{folder.metrics}: the lines of steps 1 to {step} are not all there, and patience needs their scores; put "
            "the file back, or name another output"
        )
    return lines


def measured_by(*measures: Callable[[], Mapping[str, float]] | None) -> Mapping[str, float]:
    """What these find."""
    return {name: value for measure in measures if measure for name, value in measure().items()}


def save_step(
    folder: RunFolder,
    checkpoint: Checkpoint,
    weights: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    watch: Watch,
) -> None:
    """The first rank writes what the ranks know together, and drops the checkpoints that nothing will go back to."""
    ranks = this_rank()
    for tensor in checkpoint.kept.values():
        ranks.fill(tensor)
    if ranks.first:
        sync(folder.metrics)  # no checkpoint outlives what its steps measured
        save_checkpoint(folder.checkpoints, checkpoint, weights, optimizer, older_to_keep(folder, watch))


def older_to_keep(folder: RunFolder, watch: Watch) -> tuple[int, ...]:
    """The steps of the checkpoints that a run with limits may go back to, beside the newest."""
    best = (watch.best.step,) if watch.limits.patience and watch.best else ()
    # What a step reports was seen before its update: a limit broken right after a checkpoint was broken by it.
    last = checkpoint_steps(folder.checkpoints)[-1:] if any(watch.limits.bounds()) else ()
    return (*best, *last)


def load_best_weights(folder: RunFolder, watch: Watch, newest: int, weights: dict[str, nn.Parameter]) -> int:
    """Leave in `weights` what is to be saved, and return its step.

    That is the best checkpoint where there is patience for one, else the last; none of a step after `newest`, since
    those broke a limit.
    """
    steps = checkpoint_steps(folder.checkpoints)
    good = [step for step in steps if step <= newest]
    if watch.stop and not good:
        raise NoAdapter(
            f"step {watch.stop.step}: {watch.stop.metric} is {watch.stop.value:.4g}, beyond its limit "
            f"{watch.stop.limit:.4g}, and no checkpoint is older; lower learning_rate or checkpoint_every_steps"
        )
    best = watch.best.step if watch.limits.patience and watch.best else 0
    step = best if best in good else good[-1]
    if watch.stop or step != steps[-1]:
        load_weights(folder.checkpoints, step, weights)
    return step


def one_update(add_gradients: Callable[[tuple[int, ...]], StepReport]) -> Callable[[Step], StepReport]:
    """A step of the trainers that learn from rows: the mean gradient over them, then one update."""

    def take_step(step: Step) -> StepReport:
        for row in step.share.idle:
            add_gradients((row,))
            step.forget()
        report = shared_report(step.share, add_gradients)
        return StepReport({**report.metrics, "gradient_norm": step.update()}, report.tokens)

    return take_step


def updated(optimizer: torch.optim.Optimizer, weights: Mapping[str, nn.Parameter], number: int, share: Share) -> float:
    """Add up over the ranks, clip, move, clear; the norm before. Raises LostNumber where it is not finite."""
    add_up_gradients(share, weights)
    norm = torch.nn.utils.clip_grad_norm_(weights.values(), MAX_GRADIENT_NORM).item()
    if not math.isfinite(norm):
        raise LostNumber(f"step {number + 1}: the gradient is {norm}; lower learning_rate")
    optimizer.step()
    optimizer.zero_grad()
    return norm


def refuse_broken_loss(loss_B: Tensor, row_ids: tuple[str, ...], name: str = "loss") -> None:
    """A loss, or what is called `name`, that is not a number ends the run and names its row."""
    for row_id, finite in zip(row_ids, torch.isfinite(loss_B).tolist(), strict=True):
        if not finite:
            raise LostNumber(f"row {row_id!r}: the {name} is not a number; lower learning_rate, or look at the row")

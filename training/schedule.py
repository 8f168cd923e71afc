"""Which rows belong to which step, and the learning rate of each step. No torch, no state: step in, answer out."""

import math
import random
from dataclasses import dataclass

from training.configs import TrainConfig


@dataclass(frozen=True, slots=True)
class Plan:
    """`rows` rows in steps of `rows_per_step`, `epochs` times; an epoch's last step may be smaller.

    `tokens` are how long the rows are, by which several processes share a step; equal where it is empty.
    """

    rows: int
    rows_per_step: int
    epochs: int
    seed: int
    tokens: tuple[int, ...] = ()

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return math.ceil(self.rows / self.rows_per_step)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.steps_per_epoch * self.epochs

    def rows_of_step(self, step: int) -> tuple[int, ...]:
        """Row numbers of step `step`, counted from 0. Each epoch has its own order, from the seed and the epoch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = list(range(self.rows))
        random.Random(f"{self.seed}/{epoch}").shuffle(order)
        return tuple(order[place * self.rows_per_step : (place + 1) * self.rows_per_step])


def learning_rate_at(step: int, steps: int, config: TrainConfig) -> float:
    """Linear rise over the warm-up's steps, then linear fall; the last step still moves."""
    warmup = max(1, round(steps * config.warmup_share))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * (steps - step) / max(1, steps - warmup + 1)

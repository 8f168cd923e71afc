"""When a run should end before its last step, and which checkpoint is its best. Pure values, standard library.

A `Watch` reads the metrics of one step after the other; a resumed run reads its metrics file again and knows the same.
Left out: measuring (monitors.py, kl.py, the trainers), and keeping the best checkpoint on the disk (loop.py).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from training.errors import LostNumber

# A score is clearly worse where it lies so many standard errors of the difference below the best one. The best of many
# noisy scores flatters: at 2, a quarter of runs whose 20 scores are noise alone would stop with a patience of 2; at 2.5
# it is 6 of 100 (benchmarks/overoptimisation.py counts them).
STANDARD_ERRORS = 2.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What stops a run; 0 switches a limit off. A limit reads a metric; a step that does not report it breaks nothing.

    - `max_kl`: of `kl`, in the trainer's unit: nats a token of given replies, nats a reply of sampled ones.
    - `min_distinct_2`: of `distinct_2`, the share of different token pairs. It falls when replies collapse.
    - `max_length_ratio`: of `length_ratio`, the replies' mean length over that of the reference's.
    - `max_refusal_rate`: of `refusal_rate`, a share of the replies.
    - `patience`: how many scores in a row may lie clearly below the best before the run stops. `score` is the metric
      that it reads: `held_out_score` is that of a checkpoint by a judge that does not train (or on rows that are not
      trained on), `held_out_score_checks` a constitution's checks of what the policy writes; higher is better.
      `held_out_error` (`held_out_error_checks`) is the standard error that measuring the same checkpoint again would
      show, 0 if left out.
    """

    max_kl: float = 0.0
    min_distinct_2: float = 0.0
    max_length_ratio: float = 0.0
    max_refusal_rate: float = 0.0
    patience: int = 0
    score: Literal["held_out_score", "held_out_score_checks"] = "held_out_score"

    @property
    def error(self) -> str:
        """The metric that is the standard error of `score`."""
        return self.score.replace("score", "error")

    @property
    def read_replies(self) -> tuple[str, ...]:
        """The names of those that are set and read what sampled replies are like."""
        of_replies = {
            "min_distinct_2": self.min_distinct_2,
            "max_length_ratio": self.max_length_ratio,
            "max_refusal_rate": self.max_refusal_rate,
            "patience": self.patience if self.score == "held_out_score_checks" else 0,
        }
        return tuple(name for name, limit in of_replies.items() if limit)

    def bounds(self) -> Iterator[tuple[str, float, float]]:
        """(metric, lowest, highest value allowed) of the limits that are on."""
        for metric, highest in (
            ("kl", self.max_kl),
            ("length_ratio", self.max_length_ratio),
            ("refusal_rate", self.max_refusal_rate),
        ):
            if highest:
                yield metric, -math.inf, highest
        if self.min_distinct_2:
            yield "distinct_2", self.min_distinct_2, math.inf


@dataclass(frozen=True, slots=True)
class Stop:
    """The run ends at `step`, since `metric` was `value`, beyond `limit`.

    Of a held-out score the limit is what it had to reach: the best score less 2.5 standard errors.
    """

    metric: str
    value: float
    limit: float
    step: int


@dataclass(frozen=True, slots=True)
class Score:
    """What a checkpoint scored, and the standard error of that."""

    step: int
    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known after some steps. `best` is None until a checkpoint was scored, `stop` while the run may go on.

    `worse` counts the scores in a row, up to the newest, that lay clearly below the best.
    """

    limits: Limits
    best: Score | None = None
    worse: int = 0
    stop: Stop | None = None

    def after(self, step: int, metrics: Mapping[str, float]) -> "Watch":
        """After the metrics of one more step; a run that was stopped stays so. Raises LostNumber on NaN."""
        if self.stop is not None:
            return self
        for metric, lowest, highest in self.limits.bounds():
            if metric in metrics:
                value = _finite(step, metric, metrics)
                if value > highest or value < lowest:
                    return replace(self, stop=Stop(metric, value, highest if value > highest else lowest, step))
        score, error = self.limits.score, self.limits.error
        if score not in metrics:
            return self
        spread = _finite(step, error, metrics) if error in metrics else 0.0
        return self._scored(Score(step, _finite(step, score, metrics), spread))

    def _scored(self, score: Score) -> "Watch":
        if self.best is None or score.value > self.best.value:
            return replace(self, best=score, worse=0)
        least = self.best.value - STANDARD_ERRORS * math.hypot(self.best.error, score.error)
        worse = self.worse + 1 if score.value < least else 0
        stop = Stop(self.limits.score, score.value, least, score.step) if 0 < self.limits.patience <= worse else None
        return replace(self, worse=worse, stop=stop)


def watch_again(limits: Limits, lines: Iterable[Mapping[str, float]]) -> Watch:
    """The watch after the steps of a metrics file, each with its `step`."""
    watch = Watch(limits)
    for line in lines:
        watch = watch.after(int(line["step"]), line)
    return watch


def _finite(step: int, metric: str, metrics: Mapping[str, float]) -> float:
    value = metrics[metric]
    if not math.isfinite(value):
        raise LostNumber(f"step {step}: {metric} is {value}; lower learning_rate")
    return value

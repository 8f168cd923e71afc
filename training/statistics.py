"""Intervals for rates and for paired differences, clustered by prompt. numpy and the standard library only.

Replies to one prompt resemble each other, so prompts are counted, not replies. The interval of a mean over prompts is
Student's t on the per-prompt means: the central limit theorem's own interval, recommended for evaluations with
clustered questions (arXiv:2411.00640, sections 2.2 and 4), with t in place of the normal because held-out sets
have tens of prompts. It needs no seed; a bootstrap over prompts gives the same to two digits (a test shows it).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from judges.intervals import student_t_975
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval. `clusters` is how many prompts it rests on."""

    estimate: float
    low: float
    high: float
    clusters: int


@dataclass(frozen=True, slots=True)
class NoInterval:
    """Too few prompts to say anything: a mean of one prompt has no interval."""

    reason: Literal["fewer_than_two_prompts"]
    clusters: int


def clustered_difference(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]
) -> Interval | NoInterval:
    """Mean over prompts of (mean after - mean before). Both sides must hold the same prompts, none empty."""
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())[0]
        raise TrainingError(f"prompt {odd!r} was evaluated on one side only; evaluate both sides on the same prompts")
    return clustered_mean({prompt: [_mean(prompt, after) - _mean(prompt, before)] for prompt in before}, bounds=(-1, 1))


def clustered_mean(
    values: Mapping[str, Sequence[float]], bounds: tuple[float, float] = (0.0, 1.0)
) -> Interval | NoInterval:
    """Mean of the prompts' means with Student's t interval over prompts, cut to `bounds`.

    Where all prompts agree the spread is 0 and t says nothing; then the interval is widened by the rule of three
    (3 / prompts): so many equal prompts are compatible with that rate of exceptions.
    """
    means = np.array([_mean(prompt, values) for prompt in sorted(values)], dtype=np.float64)
    prompts = len(means)
    if prompts < 2:
        return NoInterval("fewer_than_two_prompts", prompts)
    estimate = float(means.mean())
    error = float(means.std(ddof=1)) / math.sqrt(prompts)
    half = student_t_975(prompts - 1) * error if error > 0 else 3 / prompts
    return Interval(estimate, max(bounds[0], estimate - half), min(bounds[1], estimate + half), prompts)


def _mean(prompt: str, values: Mapping[str, Sequence[float]]) -> float:
    if not values[prompt]:
        raise TrainingError(f"prompt {prompt!r} has no reply; evaluate it again or leave it out of both sides")
    return math.fsum(values[prompt]) / len(values[prompt])

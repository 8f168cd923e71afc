"""A sweep as values: one adapter for each value of a knob, each measured on development prompts, and which is picked.

Development prompts are neither trained on nor held out: what is picked by them is proven on others. No torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.errors import TrainingError
from training.statistics import Interval, clustered_mean


@dataclass(frozen=True, slots=True)
class ReplyKl:
    """How far an adapter is from its base on its own replies: the mean KL of a whole reply, in nats, and its root."""

    kl: float
    sqrt_kl: float


@dataclass(frozen=True, slots=True)
class WinRate:
    """The mean belief that the adapter's reply is better than the base's, with its 95 % interval; 0.5 is a draw.

    It rests on `meetings` of replies to `prompts` prompts; with fewer than two prompts the interval is 0 to 1.
    """

    rate: float
    low: float
    high: float
    prompts: int
    meetings: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """The adapter of one value. `stopped_early` is true where a limit ended its training."""

    value: float
    adapter_sha256: str
    config_sha256: str
    win_rate: WinRate
    kl: ReplyKl
    stopped_early: bool


@dataclass(frozen=True, slots=True)
class FailedCandidate:
    """A value of which no adapter came, and why, as its trainer says."""

    value: float
    reason: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """The candidates in the order in which they were asked for; `picked` is the value of one of them.

    `failed` are the values that were asked for besides.
    """

    knob: str
    candidates: tuple[Candidate, ...]
    picked: float
    training_prompts: int
    development_prompts: int
    failed: tuple[FailedCandidate, ...] = ()


def win_rate(wins: Mapping[str, Sequence[float]]) -> WinRate:
    """From each prompt's beliefs that the adapter won. Raises TrainingError where no meeting was decided."""
    decided = {prompt: beliefs for prompt, beliefs in wins.items() if beliefs}
    if not decided:
        raise TrainingError("no meeting with the base was decided; look at the judge, or give more prompts")
    meetings = sum(map(len, decided.values()))
    interval = clustered_mean(decided)
    if isinstance(interval, Interval):
        return WinRate(interval.estimate, interval.low, interval.high, len(decided), meetings)
    (beliefs,) = decided.values()
    return WinRate(math.fsum(beliefs) / len(beliefs), 0.0, 1.0, 1, meetings)


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """The highest win rate; among equals the one nearest to the base."""
    return max(candidates, key=lambda one: (round(one.win_rate.rate, 9), -one.kl.kl))

"""Four ways to spend one budget on labels and verdicts: people alone, the judge alone, plain concatenation, and ours.

A judged pair costs two calls, one in each order; a person's label costs `human_cost` calls. Ours buys a few labels on
judged pairs first, measures what a verdict is worth, and spends the rest on what gives more for a call. Those labels
and verdicts are paid for like any other.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.mixing_world import Floats, World, rows_of
from training.mix import MixConfig, mix_rows
from training.rows import PreferenceRow

Arm = Literal["human", "ai", "concatenation", "ours"]
ARMS: tuple[Arm, ...] = ("human", "ai", "concatenation", "ours")
CALLS_A_PAIR = 2
PILOT_LABELS, MOST_ON_JUDGED, ROUNDS, POWER = 24, 80, 5, 4
OURS = MixConfig(ratio=1.0, weights="measured", calibrate=True, conflict="average")


@dataclass(frozen=True, slots=True)
class Budget:
    """`calls` to spend; `human_cost` is a label's price in calls."""

    calls: int
    human_cost: int


@dataclass(frozen=True, slots=True)
class Bought:
    """What an arm trains on, and what it paid for, in calls."""

    rows: tuple[PreferenceRow, ...]
    labels: int
    judged: int
    calls: int


def buy(arm: Arm, world: World, p_a_N: Floats, budget: Budget) -> Bought:
    """Pairs are taken from the pool's begin, which is in a random order; no arm pays more than the budget."""
    pool = len(world.vote_N)
    most_labels, most_judged = min(pool, budget.calls // budget.human_cost), min(pool, budget.calls // CALLS_A_PAIR)
    if arm == "human":
        return _plain(world, p_a_N, budget, np.arange(most_labels), np.arange(0))
    if arm == "ai":
        return _plain(world, p_a_N, budget, np.arange(0), np.arange(most_judged))
    if arm == "concatenation":
        labels, judged = most_labels // 2, min(pool, budget.calls // 2 // CALLS_A_PAIR)
        return _plain(world, p_a_N, budget, np.arange(labels), (labels + np.arange(judged)) % pool)
    return _ours(world, p_a_N, budget)


def _plain(world: World, p_a_N: Floats, budget: Budget, labelled: Floats, judged: Floats) -> Bought:
    rows = (*rows_of(world, labelled, world.vote_N, "human"), *rows_of(world, judged, p_a_N, "ai"))
    return Bought(rows, len(labelled), len(judged), _paid(budget, len(labelled), len(judged)))


def _ours(world: World, p_a_N: Floats, budget: Budget) -> Bought:
    """A pilot, then the rest in rounds. Its labels go to judged pairs, to measure by, then to those judged last."""
    pool = len(world.vote_N)
    labels = min(PILOT_LABELS, budget.calls // (budget.human_cost + CALLS_A_PAIR))
    judged = labels
    for rounds_left in range(ROUNDS, 0, -1):
        share = _judges_share(world, p_a_N, min(labels, MOST_ON_JUDGED), budget)
        calls = (budget.calls - _paid(budget, labels, judged)) // rounds_left
        judged = min(pool, judged + int(calls * share) // CALLS_A_PAIR)
        left = budget.calls - _paid(budget, labels, judged) if rounds_left == 1 else int(calls * (1 - share))
        labels = min(pool, labels + left // budget.human_cost)
    on_judged = min(labels, MOST_ON_JUDGED)
    labelled = np.concatenate([np.arange(on_judged), pool - 1 - np.arange(labels - on_judged)])
    people = rows_of(world, labelled, world.vote_N, "human")
    mixed = mix_rows(people, rows_of(world, np.arange(judged), p_a_N, "ai"), OURS)
    return Bought(mixed.rows, labels, judged, _paid(budget, labels, judged))


def _judges_share(world: World, p_a_N: Floats, shared: int, budget: Budget) -> float:
    """Of the calls to spend next: by the power of what a call gives, since it is known from few labels only."""
    at = np.arange(shared)
    people, machine = rows_of(world, at, world.vote_N, "human"), rows_of(world, at, p_a_N, "ai")
    worth = mix_rows(people, machine, OURS).report.standings[0].worth if shared else None
    if worth is None:
        return 1.0
    ratio = (worth * budget.human_cost / CALLS_A_PAIR) ** POWER
    return ratio / (1 + ratio)


def _paid(budget: Budget, labels: int, judged: int) -> int:
    return labels * budget.human_cost + judged * CALLS_A_PAIR

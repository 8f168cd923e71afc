"""Four ways to spend one budget on labels and verdicts: people alone, the judge alone, plain concatenation, and ours.

A judged pair costs two calls, one in each order; a person's label costs `human_cost` calls. The right answers of a few
pairs, gold, come to every arm for nothing, to train on. Ours buys labels on judged pairs in rounds, and after each asks
`training/purchase.py` whether more of them pay, and else how to spend the rest. What it measures by, all
labels and verdicts, is paid for and trained on like any other.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.mixing_world import Floats, Places, World, rows_of
from training.gold import Worths, gold_pairs, kinds, worths
from training.mix import MixConfig, mix_rows
from training.purchase import Purse, next_purchase
from training.reliability import FEWEST_VOTES, log_odds, pays_length, shared_pairs
from training.rows import PreferenceRow
from training.worth import Had, agreement_beyond_chance, verdict_correlation

Arm = Literal["human", "ai", "concatenation", "ours"]
ARMS: tuple[Arm, ...] = ("human", "ai", "concatenation", "ours")
CALLS_A_PAIR = 2
ROUND_LABELS = 10
# Pairs whose right answer the asker knows, as a label project has them.
GOLD_PAIRS = 100
OURS = MixConfig(ratio=1.0, weights="measured", calibrate=True, conflict="average")


@dataclass(frozen=True, slots=True)
class Budget:
    """`calls` to spend; `human_cost` is a label's price in calls."""

    calls: int
    human_cost: int

    @property
    def verdict_price(self) -> float:
        """In labels."""
        return CALLS_A_PAIR / self.human_cost


@dataclass(frozen=True, slots=True)
class Bought:
    """What an arm trains on, and what it paid for, in calls."""

    rows: tuple[PreferenceRow, ...]
    labels: int
    judged: int
    calls: int


@dataclass(frozen=True, slots=True)
class Basket:
    """The first `judged` pairs of the pool have verdicts, `on_gold` of the gold among them a label, and the first
    `shared` after the gold; the last `apart` pairs of the pool have a label, and no verdict where not nearly all are
    judged.
    """

    judged: int
    on_gold: int
    shared: int = 0
    apart: int = 0

    @property
    def labels(self) -> int:
        return self.on_gold + self.shared + self.apart

    def paid(self, budget: Budget) -> int:
        """In calls."""
        return self.labels * budget.human_cost + self.judged * CALLS_A_PAIR


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
    basket = fill(world, p_a_N, budget)
    mixed = mix_rows(_people(world, basket), _machine(world, p_a_N, basket), OURS, gold=right_answers(world))
    return Bought(mixed.rows, basket.labels, basket.judged, basket.paid(budget))


def _plain(world: World, p_a_N: Floats, budget: Budget, labelled: Places, judged: Places) -> Bought:
    bought = (*rows_of(world, labelled, world.vote_N, "human"), *rows_of(world, judged, p_a_N, "ai"))
    calls = len(labelled) * budget.human_cost + len(judged) * CALLS_A_PAIR
    return Bought((*bought, *right_answers(world)), len(labelled), len(judged), calls)


def fill(world: World, p_a_N: Floats, budget: Budget) -> Basket:
    """Labels on judged pairs, a round at a time, as long as what they tell pays; then the plan that is best.

    The first pairs are gold: all of it is judged at the start, and a few of it labelled. Labels after those are of
    other pairs, since of gold they would tell little that is not known.
    """
    pool = len(world.vote_N)
    few = min(FEWEST_VOTES, GOLD_PAIRS, pool, budget.calls // (budget.human_cost + CALLS_A_PAIR))
    gold = min(GOLD_PAIRS, pool, (budget.calls - few * budget.human_cost) // CALLS_A_PAIR)
    basket = Basket(judged=gold, on_gold=few)
    while True:
        left = budget.calls - basket.paid(budget)
        purse = Purse(left / budget.human_cost, budget.verdict_price, pool - basket.judged)
        had = Had(basket.labels, basket.judged)
        plan = next_purchase(measured(world, p_a_N, basket), had, purse, ROUND_LABELS)
        if not plan.to_measure:
            labels = min((left - plan.verdicts * CALLS_A_PAIR) // budget.human_cost, pool - gold - basket.shared)
            return replace(basket, judged=basket.judged + plan.verdicts, apart=labels)
        shared = basket.shared + ROUND_LABELS
        basket = replace(basket, judged=max(basket.judged, gold + shared), shared=shared)


def measured(world: World, p_a_N: Floats, basket: Basket) -> Worths:
    """What a basket's labels say of a verdict's correlation with a vote."""
    people, machine = _people(world, basket), _machine(world, p_a_N, basket)
    pays = pays_length(machine)
    tells = verdict_correlation(shared_pairs(machine, people), pays, log_odds(machine, pays))
    gold = gold_pairs(right_answers(world), people, machine, pays)
    return worths(tells, kinds(agreement_beyond_chance(None)), gold)


def right_answers(world: World) -> list[PreferenceRow]:
    """Of gold, for every arm."""
    return rows_of(world, np.arange(min(GOLD_PAIRS, len(world.vote_N))), world.truth_N, "human", "right")


def _people(world: World, basket: Basket) -> list[PreferenceRow]:
    pool = len(world.vote_N)
    parts = [np.arange(basket.on_gold), GOLD_PAIRS + np.arange(basket.shared), pool - 1 - np.arange(basket.apart)]
    return rows_of(world, np.concatenate(parts), world.vote_N, "human", "first")


def _machine(world: World, p_a_N: Floats, basket: Basket) -> list[PreferenceRow]:
    return rows_of(world, np.arange(basket.judged), p_a_N, "ai")

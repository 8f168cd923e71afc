"""A step on several ranks: which rows each takes, and how gradients and metrics become those of the whole step.

Alone, a rank has all of a step. Left out: what PPO and RLOO tell one another within a step (`online.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from training.packing import batch_sizes
from training.ranks import Ranks

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step's loss function saw: `metrics` (means over the step) and how many tokens went through.

    `counts` says of how many a metric is the mean, where it is not of all rows.
    """

    metrics: Mapping[str, float]
    tokens: int
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankReport:
    """What one rank says of its share of a step; no report where it has no rows."""

    rows: int
    report: StepReport | None


@dataclass(frozen=True, slots=True)
class Share:
    """What this rank does of a step: its own rows of the `whole` step's, in that order. It may have none. Its gradients
    count for `part` of the step's.

    In `lockstep` all ranks pass through the model equally often. The rows `idle` are passed over, one by one, for that
    alone: what they give is forgotten.
    """

    ranks: Ranks
    rows: tuple[int, ...]
    part: float
    whole: tuple[int, ...]
    lockstep: bool = False
    idle: tuple[int, ...] = ()


def share_of(rows: tuple[int, ...], tokens: Sequence[int], ranks: Ranks) -> Share:
    """This rank's share of a step's rows. `tokens` are those of all rows, by number; not read for one rank."""
    own = rows if ranks.world == 1 else rows_by_rank(rows, tokens, ranks.world)[ranks.rank]
    return Share(ranks, own, len(own) / len(rows), rows)


def share_of_minibatches(rows: tuple[int, ...], tokens: Sequence[int], ranks: Ranks, minibatches: int) -> Share:
    """The same where a step is several updates: this rank's share of each. Gradients are added up as they are, since
    their loss is divided by the replies or tokens of all ranks."""
    own = [share_of(tuple(part), tokens, ranks).rows for part in evenly(rows, minibatches)]
    return Share(ranks, tuple(row for part in own for row in part), 1.0, rows)


def evenly(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    """Cut into at most so many parts whose sizes differ by one at most."""
    parts = min(parts, len(items))
    bounds = [round(number * len(items) / parts) for number in range(parts + 1)]
    return [items[low:high] for low, high in pairwise(bounds)]


def share_in_lockstep(rows: tuple[int, ...], tokens: Sequence[int], ranks: Ranks, tokens_per_batch: int) -> Share:
    """The same, with as many passes as the rank with the most batches has."""
    passes = [
        len(batch_sizes([tokens[row] for row in own], tokens_per_batch))
        for own in rows_by_rank(rows, tokens, ranks.world)
    ]
    shortest = min(range(len(tokens)), key=tokens.__getitem__)
    idle = (shortest,) * (max(passes) - passes[ranks.rank])
    return replace(share_of(rows, tokens, ranks), lockstep=True, idle=idle)


def rows_by_rank(rows: Sequence[int], tokens: Sequence[int], world: int) -> list[tuple[int, ...]]:
    """Each rank's rows of a step, in the step's order, with about as many tokens each; one may get none.

    The longest row goes first, each to the rank that has least so far.
    """
    places_of: list[list[int]] = [[] for _ in range(world)]
    loads = [0] * world
    for place in sorted(range(len(rows)), key=lambda place: -tokens[rows[place]]):
        least = loads.index(min(loads))
        places_of[least].append(place)
        loads[least] += tokens[rows[place]]
    return [tuple(rows[place] for place in sorted(places)) for places in places_of]


def shared_report(share: Share, add_gradients: Callable[[tuple[int, ...]], StepReport]) -> StepReport:
    """Add the gradients of this rank's rows; what comes back is of the rows of all ranks.

    An error of one rank, such as a loss that is no number, ends all of them, and only that one tells it. In lockstep
    it cannot be told: the others wait inside the model, and end when this rank's process does.
    """
    if share.ranks.world == 1:
        return add_gradients(share.rows)

    def own() -> RankReport:
        return RankReport(len(share.rows), add_gradients(share.rows) if share.rows else None)

    return whole_report(share.ranks.told(own()) if share.lockstep else share.ranks.from_all(own))


def whole_report(told: Sequence[RankReport]) -> StepReport:
    """The means over the step from those over the ranks' shares, in the order in which a rank first names them."""
    totals: dict[str, float] = {}
    counts: dict[str, float] = {}
    tokens = 0
    for one in told:
        if one.report is not None:
            tokens += one.report.tokens
            for name, mean in one.report.metrics.items():
                count = one.report.counts.get(name, one.rows)
                totals[name] = totals.get(name, 0.0) + mean * count
                counts[name] = counts.get(name, 0.0) + count
    return StepReport({name: total / counts[name] for name, total in totals.items()}, tokens)


def add_up_gradients(share: Share, weights: Mapping[str, nn.Parameter]) -> None:
    """Put the gradient of the mean over the whole step in place of that over this rank's rows.

    One sum over the ranks for all weights: an adapter's are small.
    """
    if share.ranks.world == 1:
        return
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in weights.values()]
    flat = torch.cat([gradient.flatten() for gradient in gradients]).mul_(share.part)
    share.ranks.add_up(flat)
    for weight, gradient in zip(weights.values(), flat.split([one.numel() for one in gradients]), strict=True):
        weight.grad = gradient.view_as(weight)

"""Can half the calls rank eight replies as well as all of them? Simulated judges, of whom the truth is known.

    python -m benchmarks.ranking [--draws 3000] [--docs]

A draw is eight replies of normal quality and a judge that gives each pair a logit once and for all: `gain` times (the
difference in quality + the judge's own taste for each reply + noise of the pair + noise of the order), plus a bonus for
the reply shown first. Asked again it answers the same, as a model at temperature 0 does. `full` judges all 28 pairs in
both orders, 56 calls; `adaptive` is `judges.rank` with its default schedule, at most 28 calls; `one_order` is
`rank_one_order`, every pair once, 28 calls; `random`, `swiss` and `merge` are what else was tried at half the pairs.
Quality is top-1 accuracy and Kendall's tau against the TRUE order, by the same fit for all; `tau_to_full` is agreement
with the full schedule's order. The last line is JSON. The exit status is 1 where `one_order` or `adaptive` is more than
a point worse than `full` in a setting that docs/judging.md claims for it.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from judges.bradley_terry import (
    Contests,
    Flags,
    Floats,
    Strengths,
    both_orders,
    fit_strengths,
    gap_variances,
    gaps,
    p_best,
)
from judges.pairing import all_pairs, choose_disjoint, next_round
from judges.rank import ADAPTIVE

K = 8
PAIRS = all_pairs(K)
A_P, B_P = PAIRS.a_P, PAIRS.b_P
INDEX_KK = np.zeros((K, K), dtype=np.intp)
INDEX_KK[A_P, B_P] = INDEX_KK[B_P, A_P] = np.arange(len(A_P))
HALF = ADAPTIVE.budget(K)
POINT = 0.01
A_IS_FIRST_P = (A_P + B_P) % 2 == 1


@dataclass(frozen=True, slots=True)
class Judge:
    """A simulated judge; the noises are standard deviations beside a quality of 1, `bias` is in logits.

    A `hard` judge says 1 or 0 in each order, so that a flip is a tie; logits within `tie_band` of 0 are declared ties.
    """

    name: str
    pair: float
    taste: float = 0.0
    order: float = 0.0
    gain: float = 2.0
    bias: float = 1.0
    hard: bool = False
    tie_band: float = 0.0
    clustered: bool = False


@dataclass(frozen=True, slots=True)
class Draws:
    """N draws: the true quality, the belief of both orders in A, and that of the one order in which it is shown once.
    `flips` is the share of pairs whose winner changes with the order."""

    quality_NK: Floats
    p_a_NP: Floats
    p_a_once_NP: Floats
    flips: float


JUDGES = (
    Judge("soft, no taste, pair noise 0.2", 0.2, order=0.1),
    Judge("soft, no taste, pair noise 0.6", 0.6, order=0.3),
    Judge("soft, no taste, pair noise 1.0", 1.0, order=0.3),
    Judge("soft, no taste, pair noise 1.6", 1.6, order=0.3),
    Judge("soft, taste 0.7, pair noise 0.6", 0.6, taste=0.7, order=0.3),
    Judge("soft, taste 1.0, pair noise 0.6", 0.6, taste=1.0, order=0.3),
    Judge("soft, taste 1.0, pair noise 1.0", 1.0, taste=1.0, order=0.3),
    Judge("soft, pair noise 0.6, order noise 0.6", 0.6, order=0.6),
    Judge("soft, ties, taste 0.7, pair noise 0.6", 0.6, taste=0.7, order=0.3, tie_band=0.5),
    Judge("soft, two clusters of quality, pair noise 0.6", 0.6, order=0.3, clustered=True),
    Judge("hard, no taste, pair noise 0.4", 0.4, order=0.2, hard=True, bias=0.5),
    Judge("hard, no taste, pair noise 1.0", 1.0, order=0.3, hard=True, bias=0.5),
    Judge("hard, taste 1.0, pair noise 0.6", 0.6, taste=1.0, order=0.3, hard=True, bias=0.5),
)


def draw(judge: Judge, draws: int, rng: np.random.Generator) -> Draws:
    """Replies and what the judge thinks of each pair, in both orders."""
    quality_NK = rng.normal(size=(draws, K))
    if judge.clustered:
        quality_NK = np.where(rng.random((draws, K)) < 0.5, -1.0, 1.0) + 0.3 * quality_NK
    seen_NK = quality_NK + judge.taste * rng.normal(size=(draws, K))
    gap_NP = seen_NK[:, A_P] - seen_NK[:, B_P] + judge.pair * rng.normal(size=(draws, len(A_P)))
    shown = [judge.gain * (gap_NP + judge.order * rng.normal(size=gap_NP.shape)) + s * judge.bias for s in (1, -1)]
    if judge.hard:
        shown = [np.where(logit > 0, 30.0, -30.0) for logit in shown]
    logit_NP = (shown[0] + shown[1]) / 2
    once_NP = np.where(A_IS_FIRST_P, shown[0], shown[1])
    flips = float(((shown[0] > 0) != (shown[1] > 0)).mean())
    return Draws(quality_NK, _belief(logit_NP, judge.tie_band), _belief(once_NP, judge.tie_band), flips)


def _belief(logit_NP: Floats, tie_band: float) -> Floats:
    return np.where(np.abs(logit_NP) <= tie_band, 0.5, 1 / (1 + np.exp(-logit_NP)))


def fit_pairs(draws: Draws, asked_NP: Flags) -> Strengths:
    """The product's fit of the pairs that were asked."""
    return fit_strengths(both_orders(K, A_P, B_P, draws.p_a_NP, asked_NP))


def ask_full(draws: Draws) -> Flags:
    return np.ones(draws.p_a_NP.shape, dtype=bool)


def ask_adaptive(draws: Draws) -> Flags:
    """The pairs that `judges.rank` asks by default."""
    asked_NP = np.zeros(draws.p_a_NP.shape, dtype=bool)
    while (chosen_NP := next_round(fit_pairs(draws, asked_NP), asked_NP, ADAPTIVE)).any():
        asked_NP = asked_NP | chosen_NP
    return asked_NP


def ask_swiss(draws: Draws) -> Flags:
    """Rounds of the pairs whose order is least sure, the first at random."""
    jitter_NP = 1e-3 * np.random.default_rng(0).random(draws.p_a_NP.shape)
    return _half(draws, lambda fit: jitter_NP - np.abs(gaps(fit, A_P, B_P)) / np.sqrt(gap_variances(fit, A_P, B_P)))


def ask_random(draws: Draws) -> Flags:
    """Rounds of disjoint pairs at random, so that every reply gets its share."""
    rng = np.random.default_rng(0)
    return _half(draws, lambda fit: rng.random(draws.p_a_NP.shape))


def _half(draws: Draws, gain: Callable[[Strengths], Floats]) -> Flags:
    asked_NP = np.zeros(draws.p_a_NP.shape, dtype=bool)
    while (left_N := HALF - asked_NP.sum(axis=1)).any():
        gains_NP = gain(fit_pairs(draws, asked_NP))
        asked_NP = asked_NP | choose_disjoint(gains_NP, ~asked_NP, np.minimum(left_N, K // 2), PAIRS)
    return asked_NP


def ask_merge(draws: Draws) -> Flags:
    """Merge sort (as PairS, arXiv:2403.16950, without its beam): up to 17 pairs for eight replies."""
    asked_NP = np.zeros(draws.p_a_NP.shape, dtype=bool)
    for p_a_P, asked_P in zip(draws.p_a_NP, asked_NP, strict=True):
        _merge_sort(list(range(K)), p_a_P, asked_P)
    return asked_NP


def _merge_sort(replies: list[int], p_a_P: Floats, asked_P: Flags) -> list[int]:
    if len(replies) == 1:
        return replies
    left = _merge_sort(replies[: len(replies) // 2], p_a_P, asked_P)
    right = _merge_sort(replies[len(replies) // 2 :], p_a_P, asked_P)
    merged = []
    while left and right:
        pair = INDEX_KK[left[0], right[0]]
        asked_P[pair] = True
        left_wins = (p_a_P[pair] >= 0.5) == (left[0] < right[0])
        merged.append((left if left_wins else right).pop(0))
    return merged + left + right


def fit_one_order(draws: Draws) -> Strengths:
    """The fit of `judges.rank_one_order`: each pair once, what being shown first is worth fitted too."""
    p_a_NP, everything = draws.p_a_once_NP, np.ones(draws.p_a_NP.shape, dtype=bool)
    position_P = np.where(A_IS_FIRST_P, 1.0, -1.0)
    return fit_strengths(Contests(K, A_P, B_P, p_a_NP, (p_a_NP == 0.5).astype(np.float64), everything, position_P))


@dataclass(frozen=True, slots=True)
class Quality:
    """One schedule on one judge's draws. `calls` is the mean of requests; shortfalls are how much worse than `full` it
    is, with the 95 % half-width of the paired difference; `said_best` is the mean P(best) of its winner."""

    tau: float
    top1: float
    tau_to_full: float
    calls: float
    tau_short: float
    tau_short_95: float
    top1_short: float
    top1_short_95: float
    said_best: float

    @property
    def holds(self) -> bool:
        """True where neither is more than a point worse than `full`, and half the calls were enough."""
        return max(self.tau_short, self.top1_short) <= POINT and self.calls <= len(A_P)


@dataclass(frozen=True, slots=True)
class Result:
    """One judge: how it answers (shares of 0 to 1), and each schedule by its name."""

    judge: Judge
    accuracy: float
    rings: float
    flips: float
    schedules: Mapping[str, Quality]


def taus(one_NK: Floats, other_NK: Floats) -> Floats:
    """Kendall's tau-a of each draw; a pair that either leaves tied counts as 0."""
    signs = [np.sign(x_NK[:, A_P] - x_NK[:, B_P]) for x_NK in (one_NK, other_NK)]
    return np.asarray((signs[0] * signs[1]).mean(axis=1))


def rings_rate(p_a_NP: Floats) -> float:
    """The share of triples that beat each other in a ring."""
    i, j, k = np.array(list(itertools.combinations(range(K), 3))).T
    ij, jk, ik = (np.sign(p_a_NP[:, INDEX_KK[pair]] - 0.5) for pair in ((i, j), (j, k), (i, k)))
    return float(((ij == jk) & (ik == -ij) & (ij != 0)).mean())


def study(judge: Judge, count: int, seed: int) -> Result:
    """Every schedule on the same draws of one judge."""
    draws = draw(judge, count, np.random.default_rng(seed))
    asked = {"full": ask_full(draws), **{name: ask(draws) for name, ask in SCHEDULES.items()}}
    fits = {name: fit_pairs(draws, asked_NP) for name, asked_NP in asked.items()}
    calls = {name: 2 * float(asked_NP.sum(axis=1).mean()) for name, asked_NP in asked.items()}
    fits["one_order"], calls["one_order"] = fit_one_order(draws), float(len(A_P))
    won_NP = draws.p_a_NP > 0.5
    untied_NP = draws.p_a_NP != 0.5
    better_NP = draws.quality_NK[:, A_P] > draws.quality_NK[:, B_P]
    return Result(
        judge=judge,
        accuracy=float((won_NP == better_NP)[untied_NP].mean()),
        rings=rings_rate(draws.p_a_NP),
        flips=draws.flips,
        schedules={name: quality(draws, fits[name], fits["full"], calls[name]) for name in fits},
    )


def quality(draws: Draws, fit: Strengths, full: Strengths, calls: float) -> Quality:
    """One schedule beside the full one, against the truth."""
    true_NK = draws.quality_NK
    tau_N, full_tau_N = taus(fit.mean_NK, true_NK), taus(full.mean_NK, true_NK)
    best_N = true_NK.argmax(axis=1)
    hit_N, full_hit_N = (f.mean_NK.argmax(axis=1) == best_N for f in (fit, full))
    top1_short_N = full_hit_N.astype(float) - hit_N
    return Quality(
        tau=float(tau_N.mean()),
        top1=float(hit_N.mean()),
        tau_to_full=float(taus(fit.mean_NK, full.mean_NK).mean()),
        calls=calls,
        tau_short=float((full_tau_N - tau_N).mean()),
        tau_short_95=_half_width(full_tau_N - tau_N),
        top1_short=float(top1_short_N.mean()),
        top1_short_95=_half_width(top1_short_N),
        said_best=float(p_best(fit).max(axis=1).mean()),
    )


def _half_width(differences_N: Floats) -> float:
    return float(1.96 * differences_N.std() / np.sqrt(len(differences_N)))


SCHEDULES: Mapping[str, Callable[[Draws], Flags]] = {
    "adaptive": ask_adaptive,
    "swiss": ask_swiss,
    "merge": ask_merge,
    "random": ask_random,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=3000)
    options = parser.parse_args()
    for judge in JUDGES:
        result = study(judge, options.draws, seed=0)
        print(
            f"{judge.name:45} acc {result.accuracy:.2f} rings {result.rings:.3f} flips {result.flips:.2f}", flush=True
        )
        for name, q in result.schedules.items():
            print(
                f"    {name:10} calls {q.calls:4.1f} tau {q.tau:.3f} ({q.tau_short:+.3f} +- {q.tau_short_95:.3f}) top1 {q.top1:.3f}"
                f" ({q.top1_short:+.3f} +- {q.top1_short_95:.3f}) to full {q.tau_to_full:.3f} said {q.said_best:.2f} {'HOLDS' if q.holds else ''}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

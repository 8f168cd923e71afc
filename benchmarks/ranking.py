"""Can half the calls rank eight replies as well as all of them? Simulated judges, of whom the truth is known.

    python -m benchmarks.ranking [--draws 2000] [--docs]

`full` judges all 28 pairs in both orders, 56 calls; `adaptive` is `judges.rank` with its default schedule, at most 14
pairs; `one_order` is `judges.rank_one_order`, every pair once, 28 calls; `adaptive_21` may ask 21 pairs; `swiss`,
`merge` and `random` are what else was tried. Measured is top-1 accuracy and Kendall's tau against the TRUE order, by
the same fit for all; a schedule holds where neither is more than a point (0.01) below the full one's at no more than
half its calls. Agreement with the full schedule's own order is shown too. The last line is JSON. The exit status is 1
where a schedule misses, beyond the 95 % interval, in a setting promised for it. `--docs` rewrites docs/judging.md.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.documents import rewrite_block, table
from benchmarks.ranking_schedules import INDEX_KK, SCHEDULES, fit_one_order, fit_pairs
from benchmarks.simulated_judges import A_P, B_P, JUDGES, Draws, Judge, K, draw
from judges.bradley_terry import Floats, Strengths, p_best

PAGE = Path(__file__).parents[1] / "docs" / "judging.md"
POINT = 0.01
HALF_CALLS = len(A_P)


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
    def verdict(self) -> str:
        """Holds: within a point and half the calls. Misses: beyond a point even at the interval's kinder end."""
        if self.calls > HALF_CALLS:
            return "more than half"
        if max(self.tau_short, self.top1_short) <= POINT:
            return "holds"
        kinder = max(self.tau_short - self.tau_short_95, self.top1_short - self.top1_short_95)
        return "misses" if kinder > POINT else "unsure"


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


def study(judge: Judge, count: int, seed: int, names: Sequence[str] = tuple(SCHEDULES)) -> Result:
    """The schedules of these names, and one order, on the same draws of one judge; `full` must be among them."""
    draws = draw(judge, count, np.random.default_rng(seed))
    asked = {name: SCHEDULES[name](draws) for name in names}
    fits = {name: fit_pairs(draws, asked_NP) for name, asked_NP in asked.items()}
    calls = {name: 2 * float(asked_NP.sum(axis=1).mean()) for name, asked_NP in asked.items()}
    fits["one_order"], calls["one_order"] = fit_one_order(draws), float(HALF_CALLS)
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


TEXT = """## Ranking eight replies with half the calls

Written by `python -m benchmarks.ranking --draws {draws} --docs`: {draws} draws of eight replies a judge, simulated
(`benchmarks/simulated_judges.py`). Under `full` stand Kendall's tau and the top-1 accuracy against the true order when
all 28 pairs are judged in both orders (56 calls). Under each schedule stand the same two less those of `full`; **bold**
is within a point (0.01) on both at no more than half the calls. `right` is how often the judge's verdict on a pair is
true, `rings` how many triples beat each other in a ring, `flips` how many pairs change their winner with the order.

- **Fourteen pairs in both orders are not as good as 28**, unless the judge errs mostly by its own taste, which no
  number of calls mends, and hardly by noise. Noise is averaged over the pairs judged, so half the pairs leave more of
  it, whichever they are: the choice of pairs (`adaptive`), neighbours in rounds (`swiss`) and merge sort (which asks
  more) come out alike, well above pairs at random. `adaptive` loses less of the best than `swiss` under noise.
- **Every pair in one order is** (`rank_one_order`, 28 calls), for soft verdicts whose noise of the order is less than
  half of that of the pair: a second order costs as much as a new pair and tells less. What being shown first is worth
  is fitted and taken off. At one half it stands at the edge of a point, a little beyond for top-1. It is not as good
  where the noise of the order is as large as that of the pair, nor for hard verdicts (0 or 1), which a bonus turns
  over without a trace.
- `adaptive_21` shows what three quarters of the pairs buy.

So: soft verdicts and half the calls, `rank_one_order`; only the best reply wanted, or pairs that must stand in both
orders in the preference data, `rank` with `adaptive`; the whole order of a hard judge, `full`. These judges are
simulated. Whether yours is like one of them shows in its own rings and flips, which a ranking of `rank` reports.
"""


def report(result: Result) -> str:
    """One judge for the terminal."""
    lines = [
        f"{result.judge.name}: right in {result.accuracy:.0%} of pairs, rings in {result.rings:.1%} of triples, "
        f"{result.flips:.0%} of pairs flip"
    ]
    for name, q in result.schedules.items():
        lines.append(
            f"  {name:12} {q.calls:4.1f} calls  tau {q.tau:.3f}, short {q.tau_short:+.3f} +- {q.tau_short_95:.3f}  "
            f"top1 {q.top1:.3f}, short {q.top1_short:+.3f} +- {q.top1_short_95:.3f}  tau to full {q.tau_to_full:.3f}  "
            f"P(best) said {q.said_best:.2f}  {q.verdict}"
        )
    return "\n".join(lines)


def summary(result: Result) -> dict[str, object]:
    """One judge for the JSON line."""
    full, adaptive, once = (result.schedules[name] for name in ("full", "adaptive", "one_order"))
    return {
        "judge": result.judge.name,
        "accuracy": round(result.accuracy, 4),
        "rings": round(result.rings, 4),
        "flips": round(result.flips, 4),
        "top1_full": round(full.top1, 4),
        "top1_adaptive": round(adaptive.top1, 4),
        "tau_full": round(full.tau, 4),
        "tau_adaptive": round(adaptive.tau, 4),
        "calls_ratio": round(adaptive.calls / full.calls, 4),
        "top1_one_order": round(once.top1, 4),
        "tau_one_order": round(once.tau, 4),
        "calls_ratio_one_order": round(once.calls / full.calls, 4),
        "adaptive": adaptive.verdict,
        "one_order": once.verdict,
    }


def page_block(results: list[Result], draws: int) -> str:
    """The table of docs/judging.md."""
    shown = ("adaptive", "one_order", "swiss", "merge", "random", "adaptive_21")
    head = ["judge (noise beside a quality of 1)", "right", "rings", "flips", "full", *shown]
    rows = [
        [
            result.judge.name,
            f"{result.accuracy:.0%}",
            f"{result.rings:.1%}",
            f"{result.flips:.0%}",
            f"{result.schedules['full'].tau:.3f} {result.schedules['full'].top1:.3f}",
            *(_short(result.schedules[name]) for name in shown),
        ]
        for result in results
    ]
    calls = {name: np.mean([r.schedules[name].calls for r in results]) for name in ("full", *shown)}
    rows.append(["calls", "", "", "", *(f"{calls[name]:.1f}" for name in ("full", *shown))])
    widths = [
        f"{min(w):.3f} to {max(w):.3f}"
        for w in (
            [getattr(r.schedules[name], f"{measure}_short_95") for r in results for name in shown]
            for measure in ("tau", "top1")
        )
    ]
    certain = f"The differences are certain (95 %) to within {widths[0]} for tau and {widths[1]} for top-1."
    return f"{TEXT.format(draws=draws)}\n{table(head, rows)}\n\n{certain}"


def _short(q: Quality) -> str:
    numbers = f"{-q.tau_short:+.3f} {-q.top1_short:+.3f}"
    return f"**{numbers}**" if q.verdict == "holds" else numbers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    results = []
    for judge in JUDGES:
        results.append(study(judge, options.draws, options.seed))
        print(report(results[-1]), flush=True)
    if options.docs:
        rewrite_block(PAGE, "ranking", page_block(results, options.draws))
    broken = [f"{r.judge.name}: {n}" for r in results for n in r.judge.promised if r.schedules[n].verdict == "misses"]
    print(json.dumps({"draws": options.draws, "judges": [summary(r) for r in results], "promises_broken": broken}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

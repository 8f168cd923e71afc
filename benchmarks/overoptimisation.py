"""Over-optimisation of a learned reward (arXiv:2210.10760), and whether the stop rule of the trainers ends it in time.

    python -m benchmarks.overoptimisation [--seeds 100] [--docs]

Synthetic, so that the gold reward is known exactly. A reply is its length and eight qualities, each in standard
deviations of the base's replies. Gold grows with the qualities and falls with the square of the length. Labellers
compare pairs of base replies as Bradley and Terry have it, but with a planted bonus for length, and the proxy is a
linear reward fitted to 300 of their labels. The policy is a Gaussian whose mean is learnt by policy gradient from 64
samples a step against the proxy, under a KL penalty; its KL to the base is exact. At each of 12 checkpoints a held-out
judge reads 512 of its replies and says gold plus noise of its own; `training.limits.Watch` sees only that.

A run is *ended in time* where the rule stopped it and the checkpoint it kept is at most one from the gold peak; it ends
`patience` checkpoints after the one it kept, or later: that is how the rule knows. *Clean*
runs have the gold reward itself as their proxy, and level off; *flat* runs do not move at all: their scores are noise
alone. A stop in these is false. The last line is JSON. Exit status 1 where fewer than 9 of 10 are ended in time, or
more than 1 of 10 clean runs is stopped, in all seeds or in the first ten.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.documents import rewrite_block, table
from judges.intervals import wilson
from training.limits import Limits, Watch, watch_again

Floats = npt.NDArray[np.float64]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
LEAST_IN_TIME, MOST_FALSE = 0.9, 0.1
OTHERS = ({"judge_replies": 128}, {"judge_replies": 2048}, {"checkpoints": 24}, {"patience": 3})


@dataclass(frozen=True, slots=True)
class Setting:
    """The study's numbers. Lengths and qualities are in standard deviations of the base's replies.

    `quality_taste` and `length_taste` are gold a deviation at the base, `length_cost` what its slope loses with each
    deviation of length. `rate` is the step of the policy gradient, `judge_sd` the judge's own noise a reply.
    """

    qualities: int = 8
    quality_taste: float = 1.5
    length_taste: float = 0.2
    length_cost: float = 0.5
    length_bonus: float = 1.5
    label_pairs: int = 300
    kl_weight: float = 0.25
    rate: float = 0.03
    samples_per_step: int = 64
    steps: int = 360
    checkpoints: int = 12
    judge_replies: int = 512
    judge_sd: float = 1.0
    patience: int = 2


@dataclass(frozen=True, slots=True)
class World:
    """What is good in one seed's world. Feature 0 is the length."""

    taste_D: Floats
    length_cost: float

    def gold(self, reply_ND: Floats) -> Floats:
        """The gold reward of each reply."""
        gold_N: Floats = reply_ND @ self.taste_D - self.length_cost / 2 * reply_ND[:, 0] ** 2
        return gold_N

    def mean_gold(self, mean_D: Floats) -> float:
        """The exact gold reward of a policy over that of the base."""
        return float(mean_D @ self.taste_D - self.length_cost / 2 * mean_D[0] ** 2)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, a number a checkpoint: exact sqrt(KL) and gold over the base, the proxy's mean, the judge's scores."""

    sqrt_kl_C: Floats
    gold_C: Floats
    proxy_C: Floats
    score_C: Floats
    error_C: Floats

    @property
    def peak(self) -> int:
        """The checkpoint of the highest gold."""
        return int(np.argmax(self.gold_C))


def draw_world(setting: Setting, random: np.random.Generator) -> World:
    """Qualities in a direction of the seed's own."""
    direction_Q = random.standard_normal(setting.qualities)
    taste_Q = setting.quality_taste * direction_Q / np.linalg.norm(direction_Q)
    return World(np.concatenate([[setting.length_taste], taste_Q]), setting.length_cost)


def fit_proxy(setting: Setting, world: World, random: np.random.Generator) -> Floats:
    """A linear reward: maximum of the Bradley-Terry posterior under N(0, 1), by Newton's method, on labelled pairs."""
    a_PD, b_PD = random.standard_normal((2, setting.label_pairs, setting.qualities + 1))
    liking_2P = [world.gold(one) + setting.length_bonus * one[:, 0] for one in (a_PD, b_PD)]
    a_won_P = random.random(setting.label_pairs) < _sigmoid(liking_2P[0] - liking_2P[1])
    gap_PD = a_PD - b_PD
    proxy_D = np.zeros(setting.qualities + 1)
    for _ in range(20):
        p_P = _sigmoid(gap_PD @ proxy_D)
        slope_D = gap_PD.T @ (a_won_P - p_P) - proxy_D
        curvature_DD = (gap_PD * (p_P * (1 - p_P))[:, None]).T @ gap_PD + np.eye(len(proxy_D))
        proxy_D = proxy_D + np.linalg.solve(curvature_DD, slope_D)
    return proxy_D


def run_policy(setting: Setting, seed: int, *, clean: bool) -> Run:
    """Optimise from the base on; the judge reads each checkpoint."""
    random = np.random.default_rng(seed)
    world = draw_world(setting, random)
    proxy_D = fit_proxy(setting, world, random)
    mean_D = np.zeros_like(proxy_D)
    found = []
    for step in range(1, setting.steps + 1):
        reply_SD = mean_D + random.standard_normal((setting.samples_per_step, len(mean_D)))
        log_ratio_S = reply_SD @ mean_D - mean_D @ mean_D / 2
        score_S = world.gold(reply_SD) if clean else reply_SD @ proxy_D
        reward_S = score_S - setting.kl_weight * log_ratio_S
        # REINFORCE with the mean as its baseline; the gradient of log p in the mean is the deviation from it.
        advantage_S = reward_S - reward_S.mean()
        mean_D = mean_D + setting.rate * advantage_S @ (reply_SD - mean_D) / len(advantage_S)
        if step % (setting.steps // setting.checkpoints) == 0:
            read_N = judged(setting, world, mean_D, random)
            error = float(read_N.std(ddof=1)) / math.sqrt(len(read_N))
            proxy = world.mean_gold(mean_D) if clean else float(mean_D @ proxy_D)
            found.append((math.sqrt(mean_D @ mean_D / 2), world.mean_gold(mean_D), proxy, float(read_N.mean()), error))
    return Run(*np.array(found).T)


def judged(setting: Setting, world: World, mean_D: Floats, random: np.random.Generator) -> Floats:
    """What the held-out judge says of fresh replies."""
    reply_ND = mean_D + random.standard_normal((setting.judge_replies, len(mean_D)))
    return world.gold(reply_ND) + setting.judge_sd * random.standard_normal(setting.judge_replies)


def watched(setting: Setting, run: Run) -> Watch:
    """What the stop rule makes of the run, checkpoint by checkpoint; steps count from 1."""
    lines = [
        {"step": number, "held_out_score": score, "held_out_error": error}
        for number, (score, error) in enumerate(zip(run.score_C, run.error_C, strict=True), start=1)
    ]
    return watch_again(Limits(patience=setting.patience), lines)


@dataclass(frozen=True, slots=True)
class Ending:
    """Where the rule left a run: `kept` and `peak` are checkpoints from 0, `gold_kept` and `gold_end` shares of the
    peak's gold over the base's."""

    stopped: bool
    kept: int
    peak: int
    checkpoints_after_peak: int
    gold_kept: float
    gold_end: float

    @property
    def in_time(self) -> bool:
        """Stopped, and the kept checkpoint is at most one from the peak."""
        return self.stopped and abs(self.kept - self.peak) <= 1


def ending(setting: Setting, run: Run) -> Ending:
    """Of one run."""
    watch = watched(setting, run)
    if watch.best is None:
        raise ValueError("a run without checkpoints has no ending")
    kept, last = watch.best.step - 1, watch.stop.step - 1 if watch.stop else len(run.gold_C) - 1
    gold_C = run.gold_C / run.gold_C[run.peak]
    return Ending(watch.stop is not None, kept, run.peak, last - run.peak, float(gold_C[kept]), float(gold_C[-1]))


def share(flags: Sequence[bool]) -> dict[str, float]:
    """The share that is true, with Wilson's interval, of how many."""
    found = wilson(sum(flags), len(flags))
    return {"share": found.estimate, "low": found.low, "high": found.high, "of": len(flags)}


def study(setting: Setting, seeds: int) -> tuple[dict[str, object], list[Run]]:
    """All three kinds of run for each seed."""
    runs = [run_policy(setting, seed, clean=False) for seed in range(seeds)]
    flat = replace(setting, rate=0.0)
    ends = [ending(setting, run) for run in runs]
    clean = [watched(setting, run_policy(setting, seed, clean=True)).stop is not None for seed in range(seeds)]
    still = [watched(flat, run_policy(flat, seed, clean=True)).stop is not None for seed in range(seeds)]
    return {
        "seeds": seeds,
        "ended_in_time": share([end.in_time for end in ends]),
        "stopped": share([end.stopped for end in ends]),
        "kept_near_peak": share([abs(end.kept - end.peak) <= 1 for end in ends]),
        "false_stops_clean": share(clean),
        "false_stops_flat": share(still),
        "first_ten_in_time": sum(end.in_time for end in ends[:10]),
        "first_ten_false": sum(clean[:10]),
        "checkpoints_run_after_peak": float(np.mean([end.checkpoints_after_peak for end in ends])),
        "gold_kept": float(np.mean([end.gold_kept for end in ends])),
        "gold_at_end": float(np.mean([end.gold_end for end in ends])),
        "judge_noise": float(np.mean([run.error_C[run.peak] / run.gold_C[run.peak] for run in runs])),
    }, runs


def curve(runs: Sequence[Run]) -> list[dict[str, float]]:
    """Means over the seeds at each checkpoint."""
    columns = {"sqrt_kl": "sqrt_kl_C", "proxy": "proxy_C", "gold": "gold_C"}
    means = {name: np.mean([getattr(run, column) for run in runs], axis=0) for name, column in columns.items()}
    return [{name: float(values[c]) for name, values in means.items()} for c in range(len(runs[0].gold_C))]


def reached(result: dict[str, object]) -> bool:
    """Both claims, over all seeds and over the first ten."""
    in_time, false = result["ended_in_time"], result["false_stops_clean"]
    assert isinstance(in_time, dict) and isinstance(false, dict)
    tens = min(10, int(str(result["seeds"])))
    return (
        in_time["share"] >= LEAST_IN_TIME
        and false["share"] <= MOST_FALSE
        and int(str(result["first_ten_in_time"])) >= LEAST_IN_TIME * tens
        and int(str(result["first_ten_false"])) <= MOST_FALSE * tens
    )


def _sigmoid(logit: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-logit))
    return p


def block(result: dict[str, object], others: Sequence[dict[str, object]], shown: Sequence[dict[str, float]]) -> str:
    """The tables of docs/performance.md."""
    rising = table(
        ("sqrt(KL)", "learned reward", "true reward"), [[f"{v:.2f}" for v in line.values()] for line in shown]
    )
    keys = ("ended_in_time", "false_stops_clean", "false_stops_flat")
    rows = [(name, *(_interval(found[key]) for key in keys)) for name, found in _named(result, others)]
    endings = table(("", "ended in time", "false stops: clean", "false stops: no movement"), rows)
    return (
        f"Means of {result['seeds']} seeds at each checkpoint:\n\n{rising}\n\n"
        f"The stop rule in these runs, and with one number changed (95 % intervals):\n\n{endings}\n\n"
        f"Of the first ten seeds {result['first_ten_in_time']} end in time, and {result['first_ten_false']} clean runs "
        "are stopped."
    )


def _named(result: dict[str, object], others: Sequence[dict[str, object]]) -> list[tuple[str, dict[str, object]]]:
    names = [", ".join(f"`{knob}: {value}`" for knob, value in changes.items()) for changes in OTHERS]
    return [("as above", result), *zip(names, others, strict=True)]


def _interval(found: object) -> str:
    assert isinstance(found, dict)
    return f"{found['share']:.0%} ({found['low']:.0%} to {found['high']:.0%})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--docs", action="store_true", help="rewrite the tables in docs/performance.md")
    options = parser.parse_args()
    began, setting = time.perf_counter(), Setting()
    result, runs = study(setting, options.seeds)
    shown = curve(runs)
    others = [study(replace(setting, **changes), options.seeds)[0] for changes in OTHERS]
    text = block(result, others, shown)
    print(text)
    if options.docs:
        rewrite_block(PAGE, "overoptimisation", text)
    changed = [{"changed": changes, **found} for changes, found in zip(OTHERS, others, strict=True)]
    line = {"setting": asdict(setting), **result, "curve": shown, "other_settings": changed}
    print(json.dumps(line | {"reached": reached(result), "seconds": time.perf_counter() - began}))
    return 0 if reached(result) else 1


if __name__ == "__main__":
    sys.exit(main())

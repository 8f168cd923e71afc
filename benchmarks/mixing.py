"""Is a mix of people's labels and a judge's verdicts worth more than its parts? Four arms at equal cost, paired tests.

    CHARTER_DATA=... python -m benchmarks.mixing [--human-cost 20] [--seeds 20] [--docs]

Arms: people alone, the judge alone, plain concatenation of both (half the money each), and ours (mixing_arms.py). All
know the right answers of a few pairs, gold, and train on them; ours measures both sources by them too. A linear head
learns from each arm's pairs; it is tested (a) on HH-RLHF's labels of prompts that no arm saw, its features
from the bundled base, and (b) on a simulated gold. The judge is simulated in both: noise, and a bias to length.
Prints the section of docs/people.md, which `--docs` rewrites, and JSON as the last line. Exit status 1 where a claim is
missed: ours is never significantly worse than a single source or than concatenation, in no setting (paired t over
seeds, Holm over all settings); on both data sets it is better than concatenation over the noisy judges together, and
over the biased ones together.
"""

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.documents import rewrite_block, table
from benchmarks.mixing_arms import ARMS, CALLS_A_PAIR, GOLD_PAIRS, ROUND_LABELS, Arm, Budget, buy
from benchmarks.mixing_features import pair_features, real_pairs
from benchmarks.mixing_world import Floats, Judge, World, head, real_world, right_T, simulated_world, verdicts
from training.reliability import FEWEST_VOTES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "people.md"
CACHE = Path.home() / ".cache" / "charter" / "features"
JUDGES = tuple(Judge(noise, bias) for bias in (0.0, 1.0) for noise in (0.0, 0.2, 0.3, 0.35, 0.4, 0.45))
SEEDS, HUMAN_COST = 40, 20
# Ours was made on other seeds.
FIRST_SEED = 9000
REAL, SIMULATED = "HH-RLHF", "Simulated gold"
NOISY, BIASED = "noise alone", "length bias"
# What people alone could label at the usual price; HH-RLHF has no more pairs for the judge than that buys.
LABELS = {REAL: 200, SIMULATED: 400}
SIMULATED_POOL, SIMULATED_TEST, TEST_SHARE, REAL_PAIRS = 4000, 4000, 0.25, 2400
LEVEL = 0.05
SOURCES: tuple[Arm, ...] = ("human", "ai")
SAID: dict[Arm, str] = {"human": "people", "ai": "judge", "concatenation": "concat.", "ours": "ours"}


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference in points of accuracy, paired by seed, with its 95 % interval."""

    points: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Test pairs, over all seeds, on which one head alone is right, and the exact test that both are as many."""

    only_ours: int
    only_other: int
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours less another arm in points of accuracy, with its 95 % interval; `by_seed` are the seeds' differences."""

    other: Arm
    points: float
    low: float
    high: float
    p: float
    p_holm: float
    mcnemar: McNemar
    by_seed: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One data set and one judge: mean accuracy of each arm in percent, what ours bought, and what it found."""

    data: str
    judge: Judge
    accuracy: dict[str, float]
    labels: float
    judged: float
    calls: int
    comparisons: tuple[Comparison, ...]

    @property
    def name(self) -> str:
        return f"{self.data}, noise {self.judge.noise:g}, length bias {self.judge.length_bias:g}"


def setting(data: str, worlds: Callable[[int], World], judge: Judge, options: argparse.Namespace) -> Setting:
    """All arms on the same worlds and verdicts, one a seed."""
    budget = Budget(LABELS[data] * HUMAN_COST, options.human_cost)
    right: dict[Arm, list[Floats]] = {arm: [] for arm in ARMS}
    bought = []
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        world = worlds(seed)
        p_a_N = verdicts(world, judge, seed + 10_000)
        for arm in ARMS:
            found = buy(arm, world, p_a_N, budget)
            if found.calls > budget.calls:
                raise SystemExit(f"{arm} paid {found.calls} calls of {budget.calls}: the arms are not equal")
            right[arm].append(right_T(world, head(world, found.rows)))
        bought.append((found.labels, found.judged))
    labels, judged = np.mean(bought, axis=0)
    return Setting(
        data=data,
        judge=judge,
        accuracy={arm: 100 * float(np.mean([np.mean(one) for one in right[arm]])) for arm in ARMS},
        labels=float(labels),
        judged=float(judged),
        calls=budget.calls,
        comparisons=tuple(compared(other, right) for other in ARMS[:-1]),
    )


def compared(other: Arm, right: dict[Arm, list[Floats]]) -> Comparison:
    """Paired t over seeds, and McNemar's exact test over the test pairs of all seeds."""
    pairs = list(zip(right["ours"], right[other], strict=True))
    gap_S = np.array([100 * (np.mean(ours) - np.mean(theirs)) for ours, theirs in pairs])
    gain = gain_of(gap_S)
    only_ours, only_other = (sum(int(np.sum(a & ~b)) for a, b in order) for order in (pairs, [p[::-1] for p in pairs]))
    exact = stats.binomtest(only_ours, only_ours + only_other).pvalue if only_ours + only_other else 1.0
    mcnemar = McNemar(only_ours, only_other, float(exact))
    return Comparison(other, gain.points, gain.low, gain.high, gain.p, gain.p, mcnemar, tuple(gap_S.tolist()))


def gain_of(gap_S: Floats) -> Gain:
    """The mean of the seeds' differences with Student's t interval."""
    mean, freedom = float(gap_S.mean()), len(gap_S) - 1
    error = float(gap_S.std(ddof=1)) / np.sqrt(len(gap_S))
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom)) if error > 0 else float(mean == 0)
    return Gain(mean, mean - half, mean + half, p)


def held(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """The comparisons with p-values held over all of them that test one claim (Holm 1979)."""
    corrected = {}
    for others in (SOURCES, ("concatenation",)):
        family = [(s, c) for s in settings for c in s.comparisons if c.other in others]
        highest = 0.0
        for place, (s, c) in enumerate(sorted(family, key=lambda one: one[1].p)):
            highest = max(highest, min(1.0, (len(family) - place) * c.p))
            corrected[s.name, c.other] = highest
    return tuple(
        dataclasses.replace(
            s, comparisons=tuple(dataclasses.replace(c, p_holm=corrected[s.name, c.other]) for c in s.comparisons)
        )
        for s in settings
    )


def missed(settings: Sequence[Setting]) -> list[str]:
    """The claims that do not hold, in words."""
    failed = []
    for one in settings:
        by_arm = {c.other: c for c in one.comparisons}
        failed += [
            f"{one.name}: ours is worse than {other}"
            for other, c in by_arm.items()
            if c.points < 0 and c.p_holm < LEVEL
        ]
    for data, fault, gain in over_weak_judges(settings):
        if not gain.low > 0:
            failed.append(f"{data}, {fault}: ours is not shown to be better than concatenation")
    return failed


def behind(settings: Sequence[Setting]) -> list[tuple[Setting, Comparison]]:
    """The comparisons with a single source in which ours has the lower mean, the surest first."""
    found = [(s, c) for s in settings for c in s.comparisons if c.other in SOURCES and c.points < 0]
    return sorted(found, key=lambda one: one[1].p)


def over_weak_judges(settings: Sequence[Setting]) -> list[tuple[str, str, Gain]]:
    """For each data set and fault: ours less concatenation, the mean over the judges with it, paired by seed."""
    found = []
    for data in dict.fromkeys(one.data for one in settings):
        for fault in (NOISY, BIASED):
            weak = [s for s in settings if s.data == data and _fault(s.judge) == fault]
            by_seed = [c.by_seed for s in weak for c in s.comparisons if c.other == "concatenation"]
            if by_seed:
                found.append((data, fault, gain_of(np.mean(by_seed, axis=0))))
    return found


def _fault(judge: Judge) -> str:
    if judge.length_bias > 0:
        return BIASED
    return NOISY if judge.noise > 0 else ""


def section(settings: Sequence[Setting], options: argparse.Namespace) -> str:
    """The part of docs/people.md."""
    parts = [introduction(options)]
    gains = over_weak_judges(settings)
    for data in dict.fromkeys(one.data for one in settings):
        rows = [_cells(one) for one in settings if one.data == data]
        said = "; ".join(
            f"{fault} {gain.points:+.1f} ({gain.low:+.1f} to {gain.high:+.1f})"
            for of, fault, gain in gains
            if of == data
        )
        parts.append(f"### {data}\n\n{table(HEAD, rows)}\n\nOurs less concatenation, judges taken together: {said}.")
    failed = missed(settings)
    parts.append(by_source(settings))
    parts.append(f"**Not held:** {'; '.join(failed)}." if failed else "Every claim holds.")
    return "\n\n".join((*parts, NOTES))


def by_source(settings: Sequence[Setting]) -> str:
    """In how many comparisons with a single source ours is worse, one by one and as a family, and which those are."""
    found, compared_with = behind(settings), len(settings) * len(SOURCES)
    alone, held = sum(c.p < LEVEL for _, c in found), sum(c.p_holm < LEVEL for _, c in found)
    rows = [
        (s.name, SAID[c.other], f"{c.points:+.1f} ({c.low:+.1f} to {c.high:+.1f})", f"{c.p:.2g}", f"{c.p_holm:.2g}")
        for s, c in found
    ]
    said = f"All in which its mean is lower:\n\n{table(HEAD_BEHIND, rows)}" if rows else "Its mean is lower in none."
    return f"""### Beside the better source

Of {compared_with} comparisons with people or the judge alone, ours is significantly worse (5 %) in {alone}, each taken
by itself, where arms that are all the same would show {LEVEL / 2 * compared_with:g} by chance; in {held} as one family
(Holm). {said}"""


HEAD_BEHIND = ("setting", "less", "points", "p", "p by Holm")
HEAD = (
    "judge: noise, bias",
    "people",
    "judge",
    "concat.",
    "ours",
    "ours - people",
    "ours - judge",
    "ours - concat.",
    "bought",
)
NOTES = """The claims, in every setting: ours is never significantly worse than people, the judge or concatenation. Over
the judges of one fault together it is better than concatenation. What may keep it from the better source is the price
of knowing which that is: around the noise at which both are worth the same for their money, few labels and little gold
cannot tell them apart. With 60 gold pairs, on seeds that it was made on, it was up to a point behind people at a noise
of 0.4, and up to 0.7 behind the judge at 0.3.

The two data sets have judges of two kinds, and only gold can tell them apart: on HH-RLHF a verdict is a noisy copy of
the very vote, and worth c²; on the simulated gold judge and people err each for themselves, and it is worth six times
that for the same c.

On HH-RLHF the judge copies the very labels that the test is made of, people's noise included, and the
head's features (the middle layer of a 135M model, and length) are weak: there a judge of little noise leaves little to
be won by any mix. The seeds draw other splits of the same pairs, so its intervals are about luck in drawing, not about
other data sets. McNemar's table for each comparison is in the JSON that the command prints."""


def _cells(one: Setting) -> tuple[str, ...]:
    return (
        f"{one.judge.noise:g}, {one.judge.length_bias:g}",
        *(f"{one.accuracy[arm]:.1f}" for arm in ARMS),
        *(f"{c.points:+.1f} ({c.low:+.1f} to {c.high:+.1f}){'*' if c.p_holm < LEVEL else ''}" for c in one.comparisons),
        f"{one.labels:.0f} + {one.judged:.0f}",
    )


def introduction(options: argparse.Namespace) -> str:
    """What was done, before the tables."""
    return f"""## Is the mix worth more than its parts?

Written by `python -m benchmarks.mixing --docs`. Four ways to spend one budget, {LABELS[REAL] * HUMAN_COST:,} calls on
HH-RLHF and {LABELS[SIMULATED] * HUMAN_COST:,} on the simulated gold, a person's label at {options.human_cost} calls and
a judged pair at {CALLS_A_PAIR} (both orders): people alone, the judge alone, half the money each and the rows put one
after the other, and ours. A linear head learns from the pairs; the numbers are its
accuracy in percent, the mean of {options.seeds} seeds, and differences in points with 95 % intervals (paired t over
seeds; * is significant at 5 % over all settings of both tables, Holm).

**The judge is simulated**: it is told the better reply, is turned round in a share `noise` of the pairs, and one
standard deviation of length adds `bias` times as much as a verdict. People of the simulated gold agree in two pairs of
three; on HH-RLHF there is one label a pair.

**{GOLD_PAIRS} pairs of each pool are gold**: whoever asks knows the right answer, from an expert, say. On the simulated
gold that is the truth; on HH-RLHF the data set's label is all the truth there is, so that people are always right
there. **Every arm trains on the right answers**, at no cost. Ours gives them their worth beside labels, and measures by
them how often people and the judge are right, and whether they err on the same pairs (`training/gold.py`): it has all
gold judged and {FEWEST_VOTES} of it labelled first, and pays for these verdicts and labels as for any other. Then it
buys labels on other judged pairs, {ROUND_LABELS} at a time, and asks `training/purchase.py` after each round whether
what more of them would tell pays. Where not, the rest goes on the plan that is then best, which may have labels too, of
pairs that are not judged. Then `mix_rows` with `ratio: 1, weights: measured, calibrate: true, conflict: average`, as in
a run with [`mix.gold`](#right-answers). Before gold, people are taken to agree as
elsewhere (72.6 %): second votes on a pair cost as much as first ones on another. The last column is what it bought:
labels + judged pairs, the mean. How it spends was chosen on other seeds."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--human-cost", type=int, default=HUMAN_COST, help="what a person's label costs, in judge calls"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--docs", action="store_true", help="rewrite the section in docs/people.md")
    options = parser.parse_args()
    features = pair_features(real_pairs(REAL_PAIRS), CACHE)
    sources: dict[str, Callable[[int], World]] = {
        REAL: functools.cache(lambda seed: real_world(features, TEST_SHARE, seed)),
        SIMULATED: functools.cache(lambda seed: simulated_world(SIMULATED_POOL, SIMULATED_TEST, seed)),
    }
    found = held([setting(data, worlds, judge, options) for data, worlds in sources.items() for judge in JUDGES])
    text, failed = section(found, options), missed(found)
    print(text)
    if options.docs:
        rewrite_block(PAGE, "mixing", text)
    values = [dataclasses.asdict(one) for one in found]
    print(json.dumps({"settings": values, "human_cost": options.human_cost, "seeds": options.seeds, "missed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

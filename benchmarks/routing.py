"""What routing is worth: a tenth of the pairs sent to people, chosen by the service and at random.

    CHARTER_DATA=... python -m benchmarks.routing [--docs]

On LLMBar's recorded verdicts (arXiv:2310.07641) and on HH-RLHF with stand-in judges; no model is asked. Prints the
section of docs/people.md, which `--docs` rewrites there, and JSON as the last line. Exit status 1 where a claim is
missed.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.documents import rewrite_block, table
from benchmarks.llmbar import VOTES, data_folder, read_votes
from benchmarks.routed_gain import RANDOM_SHARE, SHARE, Gain, gains_in
from benchmarks.routed_pairs import pair_gains
from benchmarks.routed_votes import PAIRS, Coverage, coverages, vote_gains

PAGE = Path(__file__).resolve().parents[1] / "docs" / "people.md"
GOOD_JUDGE, LEAST_RATIO = 0.8, 2.0
LOWEST_COVERAGE, HIGHEST_COVERAGE = 0.935, 0.98
GROUPS = ((0.8, 1.01), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))
# A ratio under 1 by less than two standard errors is no loss that the draws can tell.
STANDARD_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class Study:
    """Everything measured."""

    alone: tuple[Gain, ...]
    with_panel: tuple[Gain, ...]
    pairs: tuple[Gain, ...]
    coverages: tuple[Coverage, ...]


def study(folder: Path, draws: int, coverage_draws: int) -> Study:
    """All parts, with fixed seeds."""
    votes = read_votes(folder / VOTES)
    return Study(
        alone=vote_gains(votes, draws, with_panel=False),
        with_panel=vote_gains(votes, draws, with_panel=True),
        pairs=pair_gains(folder, draws),
        coverages=coverages(votes, coverage_draws),
    )


def missed(found: Study) -> list[str]:
    """The claims that do not hold, in words."""
    good = gains_in(found.with_panel, GOOD_JUDGE, 1.01)
    claims = {f"twice random for {gain.judge} with a panel": gain.ratio >= LEAST_RATIO for gain in good}
    for gain in gains_in(found.alone, GOOD_JUDGE, 1.01):
        if gain.flips >= SHARE:  # with fewer flips than labels, two orders alone cannot reach the bound
            claims[f"twice random for {gain.judge} alone"] = gain.ratio >= LEAST_RATIO
    others = [*gains_in(found.alone, 0, GOOD_JUDGE), *gains_in(found.with_panel, 0, GOOD_JUDGE), *found.pairs]
    for gain in others:
        claims[f"no less than random for {gain.judge}"] = gain.ratio + STANDARD_ERRORS * gain.se >= 1
    for one in found.coverages:
        claims[f"coverage of {one.judge}"] = LOWEST_COVERAGE <= one.coverage <= HIGHEST_COVERAGE
    return [claim for claim, holds in claims.items() if not holds]


def section(found: Study, draws: int, coverage_draws: int) -> str:
    """The part of docs/people.md."""
    return "\n\n".join(
        (
            "### What routing is worth",
            _introduction(draws),
            table(GROUP_HEAD, [row for low, high in GROUPS for row in _group_rows(found, low, high)]),
            _under_random(found),
            "Judges of at least 80 %, one by one; points where people are right in nine of ten, with the panel:",
            table(JUDGE_HEAD, [_judge_row(*pair) for pair in _good(found)]),
            _under_twice(found),
            PAIRS_TEXT,
            table(PAIR_HEAD, [_pair_row(gain) for gain in found.pairs]),
            _coverage_text(coverage_draws),
            table(COVERAGE_HEAD, [_coverage_row(one) for one in found.coverages]),
        )
    )


GROUP_HEAD = (
    "judges right in",
    "routing knows",
    "judges",
    "ratio: mean",
    "least",
    "bound: mean",
    "points: routed",
    "random",
)
JUDGE_HEAD = (
    "judge",
    "right %",
    "flips %",
    "bound",
    "ratio alone",
    "ratio with panel",
    "points: routed",
    "random",
)
PAIR_HEAD = ("set, stand-in", "right %", "bound", "ratio", "points: routed", "random")
COVERAGE_HEAD = (
    "judge",
    "right %",
    "labels",
    "coverage %",
    "half-width, points",
    "all labels as if random: coverage %",
)
PAIRS_TEXT = """HH-RLHF, where no judge's verdicts are recorded: stand-ins fitted on half of the prompts (words with
length, or length alone) judge the other half."""


def _introduction(draws: int) -> str:
    share = f"{100 * RANDOM_SHARE:.0f} %"
    return f"""Written by `python -m benchmarks.routing --docs`. A tenth of the pairs goes to people, {share} of it
drawn at random; the ratio is the gain in the mixed set's accuracy against gold over what as many random pairs gain,
people being right, the mean of {draws} draws. A flip gains one half where a random pair gains the judge's error, hence
the bound min(2, 0.5 / error): a judge with enough flips can reach it. LLMBar, 419 pairs, 65 recorded judges of 2023:
alone, routing has the two orders; the panel is the same model's other prompts (14 for GPT-4), where these are right in
60 % or more."""


def _group_rows(found: Study, low: float, high: float) -> list[tuple[str, ...]]:
    rows = []
    for how, gains in (("two orders", found.alone), ("and a panel", found.with_panel)):
        group = gains_in(gains, low, high)
        if not group:
            continue
        means = [
            float(np.mean([getattr(gain, name) for gain in group]))
            for name in ("ratio", "bound", "points", "random_points")
        ]
        least = min(gain.ratio for gain in group)
        name = f"{100 * low:.0f} % or more" if high > 1 else f"{100 * low:.0f} to {100 * high:.0f} %"
        rows.append((name, how, f"{len(group)}", *(f"{x:.2f}" for x in (means[0], least, *means[1:]))))
    return rows


def _good(found: Study) -> list[tuple[Gain, Gain]]:
    with_panel = {gain.judge: gain for gain in found.with_panel}
    return [(gain, with_panel[gain.judge]) for gain in gains_in(found.alone, GOOD_JUDGE, 1.01)]


def _under_random(found: Study) -> str:
    weak = gains_in(found.alone, 0, GOOD_JUDGE)
    under = [1 - gain.ratio for gain in weak if gain.ratio < 1]
    if not under:
        return f"None of the {len(weak)} judges under 80 % falls under random routing."
    return f"""Of the {len(weak)} judges under 80 %, {len(under)} stand under 1 alone, by {max(under):.3f} at most; a
loss counts as one from two standard errors of the draws on."""


def _under_twice(found: Study) -> str:
    under = [alone for alone, _ in _good(found) if alone.ratio < LEAST_RATIO]
    if not under:
        return "All reach twice random, alone and with a panel."
    named = ", ".join(f"{gain.judge} ({100 * gain.flips:.1f} % flips)" for gain in under)
    return (
        f"Alone, under twice random: {named}. Where there are fewer flips than labels, two orders do not tell enough."
    )


def _judge_row(alone: Gain, panel: Gain) -> tuple[str, ...]:
    shares = (f"{100 * alone.accuracy:.1f}", f"{100 * alone.flips:.1f}")
    return (
        alone.judge,
        *shares,
        *(f"{x:.2f}" for x in (alone.bound, alone.ratio, panel.ratio, panel.points_90, panel.random_points_90)),
    )


def _pair_row(gain: Gain) -> tuple[str, ...]:
    return (
        gain.judge,
        f"{100 * gain.accuracy:.1f}",
        *(f"{x:.2f}" for x in (gain.bound, gain.ratio, gain.points, gain.random_points)),
    )


def _coverage_text(draws: int) -> str:
    return f"""Estimates from the random part stay honest: the judge's accuracy in a set of {PAIRS:,} pairs (drawn with
replacement from LLMBar's), by the 95 % interval of `prediction_powered` from the random part, {draws:,} draws. Routed
labels taken for random ones are far off."""


def _coverage_row(one: Coverage) -> tuple[str, ...]:
    shares = (one.coverage, one.half, one.all_labels_coverage)
    return (one.judge, f"{100 * one.accuracy:.1f}", f"{one.labels}", *(f"{100 * share:.1f}" for share in shares))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=60, help="of the random part, for each judge")
    parser.add_argument("--coverage-draws", type=int, default=1000)
    parser.add_argument("--docs", action="store_true", help="rewrite the section in docs/people.md")
    options = parser.parse_args(arguments)
    found = study(data_folder(), options.draws, options.coverage_draws)
    text, failed = section(found, options.draws, options.coverage_draws), missed(found)
    print(text)
    if options.docs:
        rewrite_block(PAGE, "routing", text)
    print(json.dumps(dataclasses.asdict(found) | {"missed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

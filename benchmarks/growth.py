"""How the cost of DPO grows: with the pairs, and with the prompt. Ours alone; `python -m benchmarks.dpo --linear`.

Eight times the pairs are the same pairs eight times over, and all are of about one length: what a run holds is decided
by its largest step, and of more steps the largest is larger where lengths differ. A prompt of 2,000 tokens with two
short replies is measured by long_prompt.py. Left out: the peer.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.documents import rewrite_block, table
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import (
    PAIRS_PER_STEP,
    SideRun,
    Start,
    Task,
    joined,
    last_line,
    machine,
    prepare,
    run_ours,
)
from training.rows import PreferenceRow

PAIRS, TIMES = 16, 8
_CANDIDATES = 64  # of which the pairs are those of middling length
_MOST_CHARS = 400  # of a prompt and its longer reply: some hundred tokens, so that many pairs go into a minute
LEAST_SPEED, MOST_MEMORY, MOST_LONG = 0.95, 1.05, 1.2


@dataclass(frozen=True, slots=True)
class Size:
    """A run over few pairs or many, and how many tokens its largest step has."""

    run: SideRun
    largest_step_tokens: int


def run(task: Task, page: Path | None) -> int:
    """Measure, print the last line, write the table where a page is given; 1 where a target is missed."""
    few, many = measure_pairs(task)
    command = [sys.executable, "-m", "benchmarks.long_prompt", "--model", str(task.model)]
    measured = figures(few, many) | json.loads(last_line([*command, "--precision", task.precision]))
    names = {"precision": task.precision, "model": task.model.name, "data": data_name(), "machine": machine()}
    if page is not None:
        rewrite_block(page, f"dpo growth {task.precision}", block(measured, ", ".join(names.values())))
    short = missed(measured)
    print(json.dumps(names | measured | {"missed": ", ".join(short)}))
    return 1 if short else 0


def measure_pairs(task: Task) -> tuple[Size, Size]:
    """Few pairs, many, and few again, since a machine's speed drifts."""
    rows = alike_rows(task)
    copies = [replace(row, id=f"{row.id}/{copy}") for copy in range(TIMES) for row in rows]
    small = replace(task, folder=task.folder / "few")
    large = replace(task, folder=task.folder / "many")
    few_start, many_start = prepare(small, rows), prepare(large, copies)
    runs = [run_ours(small, few_start, "before")[0]]
    many = run_ours(large, many_start)[0]
    runs.append(run_ours(small, few_start, "after")[0])
    return Size(joined(runs), largest_step_tokens(few_start)), Size(many, largest_step_tokens(many_start))


def alike_rows(task: Task) -> list[PreferenceRow]:
    """Pairs of about one length in the model's tokens."""
    rows = first_rows(_CANDIDATES, _MOST_CHARS)
    start = prepare(replace(task, folder=task.folder / "candidates"), rows)
    tokens = {one["id"]: length.tokens for one, length in zip(start.train, start.lengths, strict=True)}
    first = (len(tokens) - PAIRS) // 2
    return sorted((row for row in rows if row.id in tokens), key=lambda row: tokens[row.id])[first : first + PAIRS]


def largest_step_tokens(start: Start) -> int:
    """How many tokens go through the model in the step that has most."""
    tokens = [length.tokens - length.shared for length in start.lengths]
    return max(sum(tokens[first : first + PAIRS_PER_STEP]) for first in range(0, len(tokens), PAIRS_PER_STEP))


def figures(few: Size, many: Size) -> dict[str, float]:
    """Of the two."""
    return {
        "pairs": PAIRS,
        "times": TIMES,
        "largest_step_tokens": few.largest_step_tokens,
        "many_largest_step_tokens": many.largest_step_tokens,
        "pairs_per_s": few.run.pairs_per_s,
        "many_pairs_per_s": many.run.pairs_per_s,
        "speed_ratio": many.run.pairs_per_s / few.run.pairs_per_s,
        "peak_memory_bytes": few.run.peak_memory_bytes,
        "many_peak_memory_bytes": many.run.peak_memory_bytes,
        "memory_ratio": many.run.peak_memory_bytes / few.run.peak_memory_bytes,
    }


def missed(measured: Mapping[str, float]) -> list[str]:
    """The fields that fall short of their targets."""
    reached = {
        "speed_ratio": measured["speed_ratio"] >= LEAST_SPEED,
        "memory_ratio": measured["memory_ratio"] <= MOST_MEMORY,
        "long_prompt_ratio": measured["long_prompt_ratio"] <= MOST_LONG,
    }
    return [name for name, well in reached.items() if not well]


def block(measured: Mapping[str, float], caption: str) -> str:
    """The table of docs/performance.md."""
    rows = [
        (
            f"{pairs} pairs",
            str(measured[f"{key}largest_step_tokens"]),
            f"{measured[f'{key}pairs_per_s']:.3f}",
            f"{measured[f'{key}peak_memory_bytes'] / 2**30:.2f}",
        )
        for pairs, key in ((PAIRS, ""), (PAIRS * TIMES, "many_"))
    ]
    return "\n\n".join(
        (
            f"{caption}:",
            table(("DPO, ours", "tokens of the largest step", "pairs/s", "peak memory, GiB"), rows),
            f"A prompt of {measured['prompt_tokens']} tokens with two replies of {measured['reply_tokens']}: "
            f"{measured['pair_seconds']:.2f} s, {measured['long_prompt_ratio']:.2f} times the "
            f"{measured['pass_seconds']:.2f} s of the same three passes over as many tokens in a row.",
        )
    )

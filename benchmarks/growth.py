"""How the cost of DPO grows: with the pairs, and with the prompt. Ours alone; `python -m benchmarks.dpo --linear`.

Eight times the pairs are the same pairs eight times over, so that nothing but their number grows. A prompt of 2,000
tokens with two short replies is measured by long_prompt.py. Left out: the peer.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.documents import rewrite_block, table
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import SideRun, Task, joined, last_line, machine, prepare, run_ours

PAIRS, TIMES = 16, 8
_MOST_CHARS = 400  # of a prompt and its longer reply: some hundred tokens, so that many pairs go into a minute
LEAST_SPEED, MOST_MEMORY, MOST_LONG = 0.95, 1.05, 1.2


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


def measure_pairs(task: Task) -> tuple[SideRun, SideRun]:
    """Few pairs, many, and few again, since a machine's speed drifts."""
    rows = first_rows(PAIRS, _MOST_CHARS)
    copies = [dataclasses.replace(row, id=f"{row.id}/{copy}") for copy in range(TIMES) for row in rows]
    small = dataclasses.replace(task, folder=task.folder / "few")
    large = dataclasses.replace(task, folder=task.folder / "many")
    start = prepare(small, rows)
    runs = [run_ours(small, start, "before")[0]]
    many = run_ours(large, prepare(large, copies))[0]
    runs.append(run_ours(small, start, "after")[0])
    return joined(runs), many


def figures(few: SideRun, many: SideRun) -> dict[str, float]:
    """Of the two sizes."""
    return {
        "pairs": PAIRS,
        "times": TIMES,
        "pairs_per_s": few.pairs_per_s,
        "many_pairs_per_s": many.pairs_per_s,
        "speed_ratio": many.pairs_per_s / few.pairs_per_s,
        "peak_memory_bytes": few.peak_memory_bytes,
        "many_peak_memory_bytes": many.peak_memory_bytes,
        "memory_ratio": many.peak_memory_bytes / few.peak_memory_bytes,
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
        (f"{pairs} pairs", f"{measured[f'{key}pairs_per_s']:.3f}", f"{measured[f'{key}peak_memory_bytes'] / 2**30:.2f}")
        for pairs, key in ((PAIRS, ""), (PAIRS * TIMES, "many_"))
    ]
    return "\n\n".join(
        (
            f"{caption}:",
            table(("DPO, ours", "pairs/s", "peak memory, GiB"), rows),
            f"A prompt of {measured['prompt_tokens']} tokens with two replies of {measured['reply_tokens']}: "
            f"{measured['pair_seconds']:.2f} s, {measured['long_prompt_ratio']:.2f} times the "
            f"{measured['pass_seconds']:.2f} s of one plain pass over the same tokens.",
        )
    )

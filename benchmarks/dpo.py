"""How fast DPO is, beside TRL 1.16 on the same pairs, and how its cost grows.

    CHARTER_DATA=... python -m benchmarks.dpo [--precision fp32|bf16] [--pairs 16] [--without-peer] [--docs]
    python -m benchmarks.dpo --linear [--docs]

Both sides train a LoRA adapter of rank 16 on all linear layers of the bundled 135M model (or `--model`), from the same
first weights, on the same tokens, four pairs a step in the same order, with AdamW, the same rate, clipping at 1 and no
dropout, each in a process of its own. Nothing is recomputed but with `--gradient-checkpointing`, then on both sides.
Ours runs before and after TRL, and the GEMM ceiling is measured with each of ours, since a machine's speed drifts. The
pairs are real where CHARTER_DATA is set (trainer_rows.py). Prints JSON as its last line. `gemm_share` counts what the
layout needs (flops.py), `memory_ratio` is ours over TRL's. In bf16 the same steps are also done in fp32, and
`max_loss_error` and `trl_max_loss_error` are how far each side's losses are from those. Exit status 1 where a target is
missed, named in `missed`; `--linear` has its own (growth.py).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import growth
from benchmarks.documents import rewrite_block
from benchmarks.flops import dpo_flops, read_shape
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import (
    PAGE,
    PAIRS_PER_STEP,
    SideRun,
    Task,
    beside,
    gemm_flops_per_s,
    joined,
    machine,
    max_loss_difference,
    prepare,
    run_ours,
    run_trl,
    table_of_sides,
)
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE

KNOBS = {"learning_rate": 1e-4, "beta": 0.1, "lora_rank": 16, "held_out_share": 0.0}
LEAST_RATIO = {"fp32": 2.8, "bf16": 4.0}
LEAST_SHARE = {"fp32": 0.8, "bf16": 1.0}  # in fp32 this much of the ceiling will do too
MOST_MEMORY = 0.25
MOST_DIFFERENCE = {"fp32": 1e-5, "bf16": 2e-2}


@dataclass(frozen=True, slots=True)
class Measured:
    """Ours, the ceilings measured beside it, a pair's tokens and operations on average; and TRL's run, if it ran.

    `exact` is ours in fp32, beside runs in bf16.
    """

    ours: SideRun
    ceilings: Sequence[float]
    tokens_per_pair: float
    flops_per_pair: float
    peers: Sequence[SideRun]
    exact: Sequence[SideRun]

    def line(self) -> dict[str, float]:
        """The figures of the last line."""
        ours, reached = self.ours, self.ours.pairs_per_s * self.flops_per_pair
        figures = {
            "tokens_per_pair": self.tokens_per_pair,
            "pairs_per_s": ours.pairs_per_s,
            "peak_memory_bytes": ours.peak_memory_bytes,
            "flops_per_s": reached,
            "gemm_flops_per_s": max(self.ceilings),
            "gemm_share": reached / max(self.ceilings),
        }
        for peer in self.peers:
            figures |= beside(ours, peer)
            for exact in self.exact:
                figures["max_loss_error"] = max_loss_difference(ours, exact)
                figures["trl_max_loss_error"] = max_loss_difference(peer, exact)
        return figures


def measure(task: Task, pairs: int, *, with_peer: bool) -> Measured:
    """Ceiling, ours, TRL, ours, ceiling; then in fp32 what was in bf16."""
    start = prepare(task, first_rows(pairs))
    ceilings = [gemm_flops_per_s(task)]
    runs = [run_ours(task, start, "before")[0]]
    peers = [run_trl(task, start)[0]] if with_peer else []
    runs.append(run_ours(task, start, "after")[0])
    ceilings.append(gemm_flops_per_s(task))
    tokens = sum(row.tokens for row in start.lengths) / len(start.lengths)
    flops = dpo_flops(read_shape(task.model), start.lengths) / len(start.lengths)
    rounded = with_peer and task.precision == "bf16"
    exact = [run_ours(replace(task, precision="fp32"), start, "exact")[0]] if rounded else []
    return Measured(joined(runs), ceilings, tokens, flops, peers, exact)


def missed(figures: Mapping[str, float], precision: str) -> list[str]:
    """The fields that fall short of their targets; without a peer none can."""
    if "ratio" not in figures:
        return []
    slow = figures["ratio"] < LEAST_RATIO[precision] and figures["gemm_share"] < LEAST_SHARE[precision]
    far = figures["max_loss_difference"] > MOST_DIFFERENCE[precision]
    short = {"ratio": slow, "memory_ratio": figures["memory_ratio"] > MOST_MEMORY, "max_loss_difference": far}
    return [name for name, missed in short.items() if missed]


def block(figures: Mapping[str, float], caption: str) -> str:
    """The table of docs/performance.md."""
    return "\n\n".join(
        (
            f"{caption}; {figures['pairs']} pairs of {figures['tokens_per_pair']:.0f} tokens:",
            table_of_sides(figures, "DPO"),
            f"Ratio {figures['ratio']:.2f}; {figures['memory_ratio']:.2f} of TRL's memory; a step's losses differ by "
            f"{figures['max_loss_difference']:.1e} at most; {figures['gemm_share']:.0%} of the GEMM ceiling of "
            f"{figures['gemm_flops_per_s'] / 1e9:.0f} GFLOP/s.{rounding(figures)}",
        )
    )


def rounding(figures: Mapping[str, float]) -> str:
    """How far each side is from fp32, where that was measured."""
    if "max_loss_error" not in figures:
        return ""
    return (
        f" From the losses of the same steps in fp32, ours differ by {figures['max_loss_error']:.1e} at most, TRL's by "
        f"{figures['trl_max_loss_error']:.1e}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--linear", action="store_true", help="how the cost grows, ours alone")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="both sides recompute: TRL's own default")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/performance.md anew")
    options = parser.parse_args()
    model = base_model_folder(options.model, CACHE)
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        knobs = KNOBS | {"gradient_checkpointing": options.gradient_checkpointing}
        task = Task("dpo", model, Path(folder), options.precision, PAIRS_PER_STEP, knobs)
        if options.linear:
            return growth.run(task, PAGE if options.docs else None)
        measured = measure(task, options.pairs, with_peer=not options.without_peer)
    figures = {"pairs": options.pairs, "pairs_per_step": PAIRS_PER_STEP, **knobs, **measured.line()}
    short = missed(figures, options.precision)
    names = {"precision": options.precision, "model": model.name, "data": data_name(), "machine": machine()}
    if options.docs and measured.peers:
        rewrite_block(PAGE, f"dpo {options.precision}", block(figures, ", ".join(names.values())))
    print(json.dumps(names | figures | {"missed": ", ".join(short)}))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())

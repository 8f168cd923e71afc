"""Our trainer and TRL's on the same tokens from the same adapter, each in a process of its own, one after the other.

No torch here: a child's peak of memory counts from what its parent holds. Left out: which figures are wanted (dpo.py,
reward.py, growth.py).
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.documents import table
from benchmarks.flops import RowLengths
from benchmarks.peers.environments import peer_python
from training.rows import PreferenceRow, write_rows

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PAIRS_PER_STEP = 4
TRL_SCRIPT = ROOT / "benchmarks" / "peers" / "trl_training.py"


@dataclass(frozen=True, slots=True)
class Task:
    """What both sides do, one epoch of it. `knobs` are those of our trainer's config beside the paths.

    `folder` holds what is written for it; a step has `pairs_per_step` pairs on both sides.
    """

    method: str
    model: Path
    folder: Path
    precision: str
    pairs_per_step: int
    knobs: Mapping[str, float | int | bool]

    @property
    def config(self) -> Path:
        """Our trainer's YAML, without `output`."""
        return self.folder / "config.yaml"

    @property
    def adapter(self) -> Path:
        """The adapter to begin with, for peft."""
        return self.folder / "adapter"

    def keys(self, output: str) -> dict[str, object]:
        """Of the config. The rate falls from the first step on, as TRL's does without a warm-up."""
        step = "pairs_per_step" if self.method == "dpo" else "prompts_per_step"
        paths = {"model": str(self.model), "rows": str(self.folder / "rows.jsonl"), "output": str(self.folder / output)}
        fixed = {"warmup_share": 0.0, "checkpoint_every_steps": 1_000_000, "max_tokens": 8192}
        return {**paths, **fixed, "precision": self.precision, step: self.pairs_per_step, **self.knobs}


@dataclass(frozen=True, slots=True)
class Start:
    """Token ids of the rows as both sides see them, in the order of the steps."""

    train: Sequence[Mapping[str, object]]
    held_out: Sequence[Mapping[str, object]]

    @property
    def lengths(self) -> list[RowLengths]:
        """Of the rows to train on."""
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        return [RowLengths(*(len(row[name]) for name in names), shared=row["shared"]) for row in self.train]


@dataclass(frozen=True, slots=True)
class SideRun:
    """One side's training: when each step ended, in seconds from the first one's beginning, and its loss."""

    pairs: int
    ends_s: tuple[float, ...]
    losses: tuple[float, ...]
    peak_memory_bytes: int

    @property
    def pairs_per_s(self) -> float:
        """Over all steps."""
        return self.pairs / self.ends_s[-1]


def prepare(task: Task, rows: Sequence[PreferenceRow]) -> Start:
    """Write the rows, the config and the first adapter."""
    task.folder.mkdir(parents=True, exist_ok=True)
    write_rows(task.folder / "rows.jsonl", rows)
    task.config.write_text(yaml.safe_dump(task.keys("unused")))
    said = json.loads(
        last_line([sys.executable, "-m", "benchmarks.trainer_start", task.method, str(task.config), str(task.adapter)])
    )
    return Start(said["train"], said["held_out"])


def run_ours(task: Task, start: Start, output: str = "ours") -> tuple[SideRun, Mapping[str, object]]:
    """`python -m training` as anyone runs it, and its result."""
    config = task.folder / f"{output}.yaml"
    config.write_text(yaml.safe_dump(task.keys(output)))
    result = json.loads(last_line([sys.executable, "-m", "training", task.method, str(config)]))
    return read_run(task.folder / output, start, result["peak_memory_bytes"]), result


def read_run(folder: Path, start: Start, peak_memory_bytes: int) -> SideRun:
    """Of our trainer, from its folder."""
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    ends_s, losses = (tuple(step[name] for step in steps) for name in ("seconds", "loss"))
    return SideRun(len(start.train), ends_s, losses, peak_memory_bytes)


def run_trl(task: Task, start: Start, python: Path | None = None) -> tuple[SideRun, Sequence[tuple[float, float]]]:
    """TRL in its own environment (or by the given interpreter), and its scores of the held-out rows."""
    path = task.folder / "trl.json"
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    path.write_text(
        json.dumps(
            {
                "method": task.method,
                "model": str(task.model),
                "adapter": str(task.adapter),
                "precision": task.precision,
                "learning_rate": task.knobs["learning_rate"],
                "beta": task.knobs.get("beta", 0.1),
                "pairs_per_step": task.pairs_per_step,
                "gradient_checkpointing": task.knobs.get("gradient_checkpointing", False),
                "train": [{name: row[name] for name in names} for row in start.train],
                "held_out": [{name: row[name] for name in names} for row in start.held_out],
            }
        )
    )
    said = json.loads(last_line([str(python or peer_python("trl_trainers")), str(TRL_SCRIPT), str(path)]))
    run = SideRun(len(start.train), tuple(said["ends_s"]), tuple(said["losses"]), said["peak_memory_bytes"])
    return run, [(chosen, rejected) for chosen, rejected in said["scores"]]


def gemm_flops_per_s(task: Task) -> float:
    """The machine's ceiling now, for this model's shapes."""
    command = [sys.executable, "-m", "benchmarks.gemm", "--model", str(task.model), "--precision", task.precision]
    return float(json.loads(last_line(command))["flops_per_s"])


def last_line(command: Sequence[str]) -> str:
    """Of what a child says on its standard output. Raises CalledProcessError where it failed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1"}
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment)
    return child.stdout.strip().splitlines()[-1]


def joined(runs: Sequence[SideRun]) -> SideRun:
    """Runs of the same task as one: their time together, the first one's losses, the highest peak."""
    return SideRun(
        sum(run.pairs for run in runs),
        (sum(run.ends_s[-1] for run in runs),),
        runs[0].losses,
        max(run.peak_memory_bytes for run in runs),
    )


def beside(ours: SideRun, peer: SideRun) -> dict[str, float]:
    """How ours stands beside the peer's run of the same task."""
    return {
        "trl_pairs_per_s": peer.pairs_per_s,
        "trl_peak_memory_bytes": peer.peak_memory_bytes,
        "ratio": ours.pairs_per_s / peer.pairs_per_s,
        "memory_ratio": ours.peak_memory_bytes / peer.peak_memory_bytes,
        "max_loss_difference": max_loss_difference(ours, peer),
    }


def max_loss_difference(ours: SideRun, peer: SideRun) -> float:
    """Over the steps. Raises ValueError where the sides took different numbers of steps."""
    return max(abs(a - b) for a, b in zip(ours.losses, peer.losses, strict=True))


def table_of_sides(figures: Mapping[str, float], method: str) -> str:
    """Both sides' speed and memory."""
    rows = [
        (name, f"{figures[f'{key}pairs_per_s']:.3f}", f"{figures[f'{key}peak_memory_bytes'] / 2**30:.2f}")
        for name, key in (("ours", ""), ("TRL 1.16", "trl_"))
    ]
    return table((method, "pairs/s", "peak memory, GiB"), rows)


def machine() -> str:
    """The processor and its cores, for a table's caption."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"

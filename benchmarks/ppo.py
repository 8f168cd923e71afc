"""How fast PPO is, beside TRL 1.7's experimental trainer (the last that has one) on the same prompts.

    CHARTER_DATA=... python -m benchmarks.ppo [--steps 2] [--precision fp32|bf16] [--docs]

An episode: sample a reply, score it by a reward model, see it by base, policy and value model, learn. Both sides train
a LoRA adapter of rank 16 on all linear layers in the upper half of the bundled 135M model, on the same prompts, 32 a
step, replies of at most 64 tokens, 4 minibatches a pass, at 1 pass and at 4; each in a process of its own, the clock
begins when everything is loaded. Ours samples by vLLM (`torch_*`: in its own process, for comparison). Value models
are adapters with a head on both sides. Prints JSON as its last line, for each number of passes.
`memory_ratio` is the trainer's peak, the engine's apart. Exit status 1 where a target is missed, named in `missed`.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.documents import rewrite_block, table
from benchmarks.peers.environments import peer_python
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import PAGE, ROOT, last_line, machine
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.rows import write_rows

EPISODES_PER_STEP, REPLY_TOKENS, MINIBATCHES = 32, 64, 4
LEARNING_RATE, KL_WEIGHT, LORA_RANK, LORA_LAYERS_SHARE = 1e-4, 0.05, 16, 0.5
_MOST_CHARS = 1500  # of a prompt and a reply
LEAST_RATIO = {1: 4.0, 4: 2.0}
TRL_SCRIPT = ROOT / "benchmarks" / "peers" / "trl_ppo_training.py"


@dataclass(frozen=True, slots=True)
class Run:
    """One side's training: seconds over all its steps, the mean score of the first step, the trainer's peak."""

    episodes: int
    seconds: float
    peak_memory_bytes: int

    @property
    def episodes_per_s(self) -> float:
        return self.episodes / self.seconds


@dataclass(frozen=True, slots=True)
class Task:
    """What both sides do."""

    model: Path
    folder: Path
    precision: str
    steps: int

    @property
    def rows(self) -> Path:
        return self.folder / "rows.jsonl"

    @property
    def reward_model(self) -> Path:
        """The output of our reward trainer; `merged` in it is the same as one classifier."""
        return self.folder / "reward"


def prepare(task: Task) -> None:
    """Prompts, and a reward model that has learnt hardly anything: only its cost counts here."""
    write_rows(task.rows, first_rows(EPISODES_PER_STEP * task.steps, most_chars=_MOST_CHARS))
    few = {"rows": str(task.rows), "output": str(task.reward_model), "model": str(task.model), "max_tokens": 512}
    config = task.folder / "reward.yaml"
    config.write_text(
        yaml.safe_dump(
            {**few, "precision": task.precision, "held_out_share": 0.8, "lora_layers_share": LORA_LAYERS_SHARE}
        )
    )
    last_line([sys.executable, "-m", "training", "reward", str(config)])
    merge = ["merge", "--model", str(task.model), "--adapter", str(task.reward_model / "adapter")]
    last_line([sys.executable, "-m", "training", *merge, "--output", str(task.reward_model / "merged")])


def run_ours(task: Task, sampler: str, passes: int) -> Run:
    """`python -m training ppo` as anyone runs it."""
    output = task.folder / f"{sampler}-{passes}"
    config = task.folder / f"{output.name}.yaml"
    knobs = {
        "model": str(task.model), "rows": str(task.rows), "output": str(output), "precision": task.precision,
        "reward_model": str(task.reward_model), "sampler": sampler, "passes": passes, "minibatches": MINIBATCHES,
        "prompts_per_step": EPISODES_PER_STEP, "reply_tokens": REPLY_TOKENS, "learning_rate": LEARNING_RATE,
        "kl_weight": KL_WEIGHT, "lora_rank": LORA_RANK, "lora_layers_share": LORA_LAYERS_SHARE,
        "warmup_share": 0.0, "checkpoint_every_steps": 1_000_000,
    }  # fmt: skip
    config.write_text(yaml.safe_dump(knobs))
    result = json.loads(last_line([sys.executable, "-m", "training", "ppo", str(config)]))
    return Run(EPISODES_PER_STEP * result["steps"], result["seconds"], result["peak_memory_bytes"])


def run_trl(task: Task, passes: int) -> Run:
    """In its own environment, on the same prompts' tokens."""
    path = task.folder / "trl.json"
    tokens = json.loads(last_line([sys.executable, "-c", TOKENS, str(task.model), str(task.rows)]))
    settings = {
        "model": str(task.model), "reward_model": str(task.reward_model / "merged"), "prompts": tokens,
        "precision": task.precision, "episodes_per_step": EPISODES_PER_STEP, "reply_tokens": REPLY_TOKENS,
        "passes": passes, "minibatches": MINIBATCHES, "steps": task.steps, "learning_rate": LEARNING_RATE,
        "lora_rank": LORA_RANK, "lora_layers_share": LORA_LAYERS_SHARE, "kl_weight": KL_WEIGHT,
    }  # fmt: skip
    path.write_text(json.dumps(settings))
    said = json.loads(last_line([str(peer_python("trl_ppo")), str(TRL_SCRIPT), str(path)]))
    return Run(EPISODES_PER_STEP * len(said["ends_s"]), said["ends_s"][-1], said["peak_memory_bytes"])


# In a child: a peak of memory counts from what the parent holds.
TOKENS = """
import json, sys
from pathlib import Path
from training.rows import read_prompts
from training.tokenising import load_tokenizer
from training.turns import prompt_tokens
tokenizer = load_tokenizer(Path(sys.argv[1]))
print(json.dumps([prompt_tokens(p.messages, tokenizer, p.id) for p in read_prompts(Path(sys.argv[2]))]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--passes", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--samplers", nargs="*", default=["vllm", "torch"])
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/performance.md anew")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        task = Task(base_model_folder(options.model, CACHE), Path(folder), options.precision, options.steps)
        prepare(task)
        for passes in options.passes:
            runs = {sampler: run_ours(task, sampler, passes) for sampler in options.samplers}
            if not options.without_peer:
                runs["trl"] = run_trl(task, passes)
            for name, run in runs.items():
                figures |= {f"{name}_{key}_{passes}": value for key, value in told(run).items()}
            figures |= beside(runs, passes)
    setup = {
        "episodes_per_step": EPISODES_PER_STEP, "reply_tokens": REPLY_TOKENS, "minibatches": MINIBATCHES,
        "steps": options.steps, "precision": options.precision, "data": data_name(), "machine": machine(),
    }  # fmt: skip
    short = [f"ratio_{passes}" for passes in LEAST_RATIO if figures.get(f"ratio_{passes}", 99) < LEAST_RATIO[passes]]
    short += [name for name, value in figures.items() if name.startswith("memory_ratio") and value > 1]
    if options.docs and not options.without_peer:
        rewrite_block(PAGE, f"ppo {options.precision}", block(figures, setup, options.passes))
    print(json.dumps(setup | figures | {"missed": ", ".join(short)}))
    return 1 if short else 0


def told(run: Run) -> dict[str, float]:
    return {"episodes_per_s": run.episodes_per_s, "peak_memory_bytes": run.peak_memory_bytes}


def beside(runs: Mapping[str, Run], passes: int) -> dict[str, float]:
    """How ours, sampling by vLLM, stands beside TRL; nothing where one of them did not run."""
    if "trl" not in runs or "vllm" not in runs:
        return {}
    ours, peer = runs["vllm"], runs["trl"]
    return {
        f"ratio_{passes}": ours.episodes_per_s / peer.episodes_per_s,
        f"memory_ratio_{passes}": ours.peak_memory_bytes / peer.peak_memory_bytes,
    }


def block(figures: Mapping[str, float], setup: Mapping[str, object], passes: list[int]) -> str:
    """The table of docs/performance.md."""
    names = {"vllm": "ours, vLLM samples", "torch": "ours, in one process", "trl": "TRL 1.7"}
    rows = [
        (
            f"{name}, {count} pass{'es' if count > 1 else ''}",
            f"{figures[f'{key}_episodes_per_s_{count}']:.2f}",
            f"{figures[f'{key}_peak_memory_bytes_{count}'] / 2**30:.2f}",
        )
        for count in passes
        for key, name in names.items()
        if f"{key}_episodes_per_s_{count}" in figures
    ]
    ratios = ", ".join(f"{figures[f'ratio_{count}']:.2f} at {count}" for count in passes)
    caption = ", ".join(str(setup[name]) for name in ("precision", "data", "machine"))
    head = ("PPO", "episodes/s", "trainer's peak memory, GiB")
    return "\n\n".join((f"{caption}:", table(head, rows), f"Ratio {ratios}."))


if __name__ == "__main__":
    sys.exit(main())

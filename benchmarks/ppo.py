"""How fast PPO is, beside TRL 1.7's experimental trainer (the last that has one) on the same prompts.

    CHARTER_DATA=... python -m benchmarks.ppo [--steps 4] [--passes 1 4] [--precision fp32|bf16] [--docs]

An episode: sample a reply, score it by a reward model, see it by base, policy and value model, learn. Both sides train
a LoRA adapter of rank 16 on all linear layers in the upper half of the bundled 135M model, on the same prompts, 32 a
step, replies of at most 64 tokens, 4 minibatches a pass, at 1 pass and, half as many steps, at 4; each in a process of
its own, the clock begins when everything is loaded. Ours runs before and after TRL, since a machine's speed drifts, and
samples by vLLM (`torch_*`: in its own process, once, for comparison). Value models are adapters with a head on both
sides. Prints JSON as its last line, for each number of passes: `ratio_1` is that at 1, and `ratio` that at the first;
`ratio_1_low` and `ratio_1_high` are what ours before and after make of it. `memory_ratio` is the trainer's peak, the
engine's apart. Exit status 1 where a target is missed, named in `missed`.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
    """One side's training, in one process or several one after the other: seconds over all steps, the highest peak.

    `each_per_s` are the episodes/s of each process.
    """

    episodes: int
    seconds: float
    peak_memory_bytes: int
    each_per_s: tuple[float, ...] = ()

    @property
    def episodes_per_s(self) -> float:
        return self.episodes / self.seconds


def joined(runs: Sequence[Run]) -> Run:
    """Runs of the same task as one: their time together, the highest peak."""
    return Run(
        sum(run.episodes for run in runs),
        math.fsum(run.seconds for run in runs),
        max(run.peak_memory_bytes for run in runs),
        tuple(run.episodes_per_s for run in runs),
    )


@dataclass(frozen=True, slots=True)
class Task:
    """What both sides do. `steps` are those at 1 pass."""

    model: Path
    folder: Path
    precision: str
    steps: int

    def steps_at(self, passes: int) -> int:
        """Half as many at several passes, of which each takes longer."""
        return self.steps if passes == 1 else max(1, self.steps // 2)

    def rows(self, passes: int) -> Path:
        return self.folder / f"rows-{passes}.jsonl"

    @property
    def reward_model(self) -> Path:
        """The output of our reward trainer; `merged` in it is the same as one classifier."""
        return self.folder / "reward"


def prepare(task: Task, all_passes: Sequence[int]) -> None:
    """Prompts, and a reward model that has learnt hardly anything: only its cost counts here."""
    for passes in all_passes:
        rows = first_rows(EPISODES_PER_STEP * task.steps_at(passes), most_chars=_MOST_CHARS)
        write_rows(task.rows(passes), rows)
    few = {
        "rows": str(task.rows(all_passes[0])),
        "output": str(task.reward_model),
        "model": str(task.model),
        "max_tokens": 512,
    }
    config = task.folder / "reward.yaml"
    config.write_text(
        yaml.safe_dump(
            {**few, "precision": task.precision, "held_out_share": 0.8, "lora_layers_share": LORA_LAYERS_SHARE}
        )
    )
    last_line([sys.executable, "-m", "training", "reward", str(config)])
    merge = ["merge", "--model", str(task.model), "--adapter", str(task.reward_model / "adapter")]
    last_line([sys.executable, "-m", "training", *merge, "--output", str(task.reward_model / "merged")])


def run_ours(task: Task, sampler: str, passes: int, when: str = "once") -> Run:
    """`python -m training ppo` as anyone runs it."""
    output = task.folder / f"{sampler}-{passes}-{when}"
    config = task.folder / f"{output.name}.yaml"
    knobs = {
        "model": str(task.model), "rows": str(task.rows(passes)), "output": str(output), "precision": task.precision,
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
    tokens = json.loads(last_line([sys.executable, "-c", TOKENS, str(task.model), str(task.rows(passes))]))
    settings = {
        "model": str(task.model), "reward_model": str(task.reward_model / "merged"), "prompts": tokens,
        "precision": task.precision, "episodes_per_step": EPISODES_PER_STEP, "reply_tokens": REPLY_TOKENS,
        "passes": passes, "minibatches": MINIBATCHES, "steps": task.steps_at(passes), "learning_rate": LEARNING_RATE,
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


def run_sides(task: Task, passes: int, samplers: Sequence[str], *, with_peer: bool) -> dict[str, Run]:
    """Each sampler's run, the first one's again behind TRL's."""
    first, *more = samplers
    runs = {first: run_ours(task, first, passes, "before")}
    if with_peer:
        runs["trl"] = run_trl(task, passes)
    runs[first] = joined([runs[first], run_ours(task, first, passes, "after")])
    return runs | {sampler: run_ours(task, sampler, passes) for sampler in more}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, default=4, help="at 1 pass; at more half as many")
    parser.add_argument("--passes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--samplers", nargs="+", default=["vllm", "torch"])
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write the tables of docs/performance.md anew")
    options = parser.parse_args()
    if options.docs and (options.without_peer or "vllm" not in options.samplers):
        parser.error("--docs writes ours with vllm beside TRL: leave out --without-peer, and name the sampler vllm")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        task = Task(base_model_folder(options.model, CACHE), Path(folder), options.precision, options.steps)
        prepare(task, options.passes)
        for passes in options.passes:
            runs = run_sides(task, passes, options.samplers, with_peer=not options.without_peer)
            for name, run in runs.items():
                figures |= {f"{name}_{key}_{passes}": value for key, value in told(run).items()}
            figures |= beside(runs, passes) | {f"steps_{passes}": task.steps_at(passes)}
    setup = {
        "passes": options.passes, "episodes_per_step": EPISODES_PER_STEP, "reply_tokens": REPLY_TOKENS,
        "minibatches": MINIBATCHES,
        "precision": options.precision, "learning_rate": LEARNING_RATE, "kl_weight": KL_WEIGHT, "lora_rank": LORA_RANK,
        "lora_layers_share": LORA_LAYERS_SHARE, "most_chars": _MOST_CHARS, "data": data_name(), "machine": machine(),
    }  # fmt: skip
    first = options.passes[0]
    figures |= {name: figures[own] for name in ("ratio", "memory_ratio") if (own := f"{name}_{first}") in figures}
    short = [f"ratio_{passes}" for passes in LEAST_RATIO if figures.get(f"ratio_{passes}", 99) < LEAST_RATIO[passes]]
    short += [name for name, value in figures.items() if name.startswith("memory_ratio_") and value > 1]
    if options.docs:
        for passes in options.passes:
            rewrite_block(PAGE, f"ppo {options.precision} {passes}", block(figures, setup, passes))
    print(json.dumps(setup | figures | {"missed": ", ".join(short)}))
    return 1 if short else 0


def told(run: Run) -> dict[str, float]:
    return {"episodes_per_s": run.episodes_per_s, "peak_memory_bytes": run.peak_memory_bytes}


def beside(runs: Mapping[str, Run], passes: int) -> dict[str, float]:
    """How ours, sampling by vLLM, stands beside TRL; nothing where one of them did not run."""
    if "trl" not in runs or "vllm" not in runs:
        return {}
    ours, peer = runs["vllm"], runs["trl"]
    each = [per_s / peer.episodes_per_s for per_s in ours.each_per_s or (ours.episodes_per_s,)]
    return {
        f"ratio_{passes}": ours.episodes_per_s / peer.episodes_per_s,
        f"ratio_{passes}_low": min(each),
        f"ratio_{passes}_high": max(each),
        f"memory_ratio_{passes}": ours.peak_memory_bytes / peer.peak_memory_bytes,
    }


def block(figures: Mapping[str, float], setup: Mapping[str, object], passes: int) -> str:
    """One table of docs/performance.md."""
    names = {"vllm": "ours, vLLM samples", "torch": "ours, in one process", "trl": "TRL 1.7"}
    rows = [
        (name, f"{figures[field]:.3f}", f"{figures[f'{key}_peak_memory_bytes_{passes}'] / 2**30:.2f}")
        for key, name in names.items()
        if (field := f"{key}_episodes_per_s_{passes}") in figures
    ]
    caption = ", ".join(str(setup[name]) for name in ("precision", "data", "machine"))
    counted = f"{passes} pass{'es' if passes > 1 else ''}"
    ratio, memory = (figures[f"{name}_{passes}"] for name in ("ratio", "memory_ratio"))
    low, high = (figures[f"ratio_{passes}_{bound}"] for bound in ("low", "high"))
    return "\n\n".join(
        (
            f"{counted}; {caption}; {figures[f'steps_{passes}']} steps, ours before and after TRL's:",
            table(("PPO", "episodes/s", "trainer's peak memory, GiB"), rows),
            f"Ratio {ratio:.2f} ({low:.2f} and {high:.2f} by each of ours; {LEAST_RATIO.get(passes, 0):g} wanted); "
            f"{memory:.2f} of TRL's memory.",
        )
    )


if __name__ == "__main__":
    sys.exit(main())

"""How fast the trainers are on one GPU. Needs only torch, transformers, peft and accelerate, no network.

    python -m benchmarks.gpu [--model FOLDER] [--pairs 64] [--prompt-chars 1024] [--reply-chars 512] [--docs]
    python -m benchmarks.gpu --tiny        # the same on the CPU with a tiny model: whether it runs, not how fast

Without a model: a Llama of 1.2 billion random weights with a byte tokenizer, one token a character. Pairs of one length
are written by code. DPO and the reward model train a LoRA adapter of rank 16 on all linear layers, eight pairs a step;
the first two steps are left out of the speed. PPO takes the chosen replies as its own, eight a step: its speed is that
of all but sampling and scoring, with one pass and one update a step (gpu_ppo.py).

`mfu` is the share of the vendor's figure for dense bf16, where the GPU is known; `gemm_share` that of torch.mm on the
model's shapes (gemm.py); both count what the layout needs (flops.py). Where TRL can be imported, it trains DPO and the
reward model on the same tokens, and `ratio` is ours over its pairs per second. Prints JSON as its last line. Left out:
sampling, and TRL's PPO, which cannot be timed without it.
"""

import argparse
import dataclasses
import gc
import importlib.util
import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.documents import rewrite_block, table
from benchmarks.flops import dpo_flops, ppo_update_flops, read_shape, reward_flops
from benchmarks.gemm import gemm_flops_per_s
from benchmarks.gpu_ppo import train_on_given_replies
from benchmarks.trainer_rows import row_of, words
from benchmarks.trainer_sides import PAGE, SideRun, Start, Task, machine, read_run, run_trl
from benchmarks.trainer_start import dpo_start, reward_start
from training.configs import DpoConfig, PpoConfig, RewardConfig, load_config
from training.dpo import train_dpo
from training.finishing import peak_memory_bytes
from training.precision import resolve_numbers
from training.publish import published_folder
from training.reward import train_reward
from training.rows import PreferenceRow, write_rows
from training.tiny import build_tiny_model, byte_tokenizer

WARM_UP_STEPS, PAIRS_PER_STEP = 2, 8
KNOBS = {"learning_rate": 1e-5, "lora_rank": 16, "tokens_per_batch": 16384, "held_out_share": 0.0}
# Dense bf16 on tensor cores, from the vendor's data sheets.
PEAK_FLOPS = {"H200": 989.5e12, "H100": 989.5e12, "A100": 312e12, "L40S": 362e12}
COLUMNS = ("", "pairs or episodes/s", "tokens/s", "MFU", "peak memory, GiB", "beside TRL")


@dataclasses.dataclass(frozen=True, slots=True)
class Lengths:
    """How many pairs, and the characters of each prompt and reply."""

    pairs: int
    prompt_chars: int
    reply_chars: int

    def rows(self) -> list[PreferenceRow]:
        """Written by code; different, and all as long."""
        return [self._row(number) for number in range(self.pairs)]

    def _row(self, number: int) -> PreferenceRow:
        draw = random.Random(number)
        sizes = (self.prompt_chars, self.reply_chars, self.reply_chars)
        prompt, chosen, rejected = (words(draw, size)[:size] for size in sizes)
        return row_of(f"w-{number}", prompt, chosen, rejected)


def build_random_model(folder: Path) -> Path:
    """Llama 3.2's 1B in shape, bf16, weights at random."""
    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    with published_folder(folder) as temporary, torch.device("cuda"):
        torch.manual_seed(0)
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(temporary)
        byte_tokenizer().save_pretrained(temporary)
    return folder


def measure(task: Task, lengths: Lengths) -> dict[str, float]:
    """One method on rows of these lengths."""
    write_rows(task.folder / "rows.jsonl", lengths.rows())
    task.config.write_text(yaml.safe_dump(task.keys("ours")))
    return measure_ppo(task) if task.method == "ppo" else measure_pairs(task)


def measure_pairs(task: Task) -> dict[str, float]:
    """DPO or the reward model: ours here, TRL in a process of its own once our memory is free."""
    begin, train, schema, count = {
        "dpo": (dpo_start, train_dpo, DpoConfig, dpo_flops),
        "reward": (reward_start, train_reward, RewardConfig, reward_flops),
    }[task.method]
    config = load_config(task.config, schema)
    start = Start(**begin(config, task.adapter))
    free_memory()
    train(config)
    ours = read_run(task.folder / "ours", start, peak_bytes())
    free_memory()
    flops = count(read_shape(task.model), start.lengths)
    figures = figures_of(ours, "pair", sum(row.tokens for row in start.lengths), flops)
    if importlib.util.find_spec("trl"):
        figures |= beside(ours, run_trl(task, start, Path(sys.executable))[0])
    return figures


def measure_ppo(task: Task) -> dict[str, float]:
    """PPO's own part of its steps."""
    free_memory()
    run = train_on_given_replies(load_config(task.config, PpoConfig))
    flops = ppo_update_flops(read_shape(task.model), run.episodes)
    figures = figures_of(run.side(peak_bytes()), "episode", sum(one.tokens for one in run.episodes), flops)
    free_memory()
    return figures


def figures_of(run: SideRun, unit: str, tokens: int, flops: int) -> dict[str, float]:
    """Of a run over so many units, which together have so many tokens and need so many operations."""
    units_per_s = steady_pairs_per_s(run)
    reached = units_per_s * flops / run.pairs
    return {
        f"tokens_per_{unit}": tokens / run.pairs,
        f"{unit}s_per_s": units_per_s,
        "tokens_per_s": units_per_s * tokens / run.pairs,
        "flops_per_s": reached,
        "peak_memory_bytes": run.peak_memory_bytes,
        **mfu(reached),
    }


def steady_pairs_per_s(run: SideRun) -> float:
    """Without the first steps, in which kernels are chosen and memory is taken; the steps are of one size."""
    steps = len(run.ends_s)
    skipped = min(WARM_UP_STEPS, steps - 1)
    return run.pairs * (steps - skipped) / steps / (run.ends_s[-1] - (run.ends_s[skipped - 1] if skipped else 0.0))


def beside(ours: SideRun, peer: SideRun) -> dict[str, float]:
    """TRL's figures, and ours over them."""
    return {
        "trl_pairs_per_s": steady_pairs_per_s(peer),
        "trl_peak_memory_bytes": peer.peak_memory_bytes,
        "ratio": steady_pairs_per_s(ours) / steady_pairs_per_s(peer),
        "memory_ratio": ours.peak_memory_bytes / peer.peak_memory_bytes,
    }


def mfu(flops_per_s: float) -> dict[str, float]:
    """The share of the GPU's own figure; nothing where none is known."""
    known = [peak for name, peak in PEAK_FLOPS.items() if name in device_name()]
    return {"mfu": flops_per_s / known[0]} if known else {}


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else machine()


def peak_bytes() -> int:
    """Of the GPU's memory since `free_memory`, or of the process."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_memory_bytes()


def free_memory() -> None:
    """Give the GPU's memory back, and forget its peak."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def block(found: Mapping[str, Mapping[str, float]], caption: str) -> str:
    """The table of docs/performance.md."""
    rows = [
        (
            method,
            f"{one['pairs_per_s'] if 'pairs_per_s' in one else one['episodes_per_s']:.1f}",
            f"{one['tokens_per_s']:.0f}",
            f"{one['mfu']:.0%}" if "mfu" in one else "unknown",
            f"{one['peak_memory_bytes'] / 2**30:.1f}",
            f"{one['ratio']:.2f}" if "ratio" in one else "not run",
        )
        for method, one in found.items()
    ]
    return f"{caption}:\n\n" + table(COLUMNS, rows)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--prompt-chars", type=int, default=1024)
    parser.add_argument("--reply-chars", type=int, default=512)
    parser.add_argument("--tiny", action="store_true", help="a tiny model and short pairs, on the CPU too")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/performance.md anew")
    options = parser.parse_args(arguments)
    if not (torch.cuda.is_available() or options.tiny):
        sys.exit("no CUDA device is at hand; --tiny tries the benchmark on the CPU")
    numbers = resolve_numbers("auto")
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        if options.tiny:
            model, lengths = build_tiny_model(Path(folder) / "tiny"), Lengths(3 * PAIRS_PER_STEP, 48, 16)
        else:
            model = options.model or build_random_model(Path(folder) / "random-llama-1b")
            lengths = Lengths(options.pairs, options.prompt_chars, options.reply_chars)
        ceiling = gemm_flops_per_s(read_shape(model), 4096, numbers)
        found = {}
        for method in ("dpo", "reward", "ppo"):
            work = Path(folder) / method
            work.mkdir()
            figures = measure(Task(method, model, work, numbers.precision, PAIRS_PER_STEP, KNOBS), lengths)
            found[method] = figures | {"gemm_share": figures["flops_per_s"] / ceiling}
    if options.docs:
        caption = f"{numbers.precision}, {model.name}, {lengths.pairs} pairs, {device_name()}"
        rewrite_block(PAGE, "gpu", block(found, caption))
    about = {"device": device_name(), "model": model.name, "precision": numbers.precision, "gemm_flops_per_s": ceiling}
    print(json.dumps({**about, **dataclasses.asdict(lengths), **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What DPO's looks at held-out replies cost: the seconds of a look beside those of the steps between two of them.

    CHARTER_DATA=... python -m benchmarks.reply_looks [--model FOLDER] [--precision auto|bf16|fp32]

By the trainer's defaults: 16 pairs a step, a checkpoint every 10 steps, a look at every fourth of them; where a limit
reads what is seen, at each (`limited_share`). The pairs are real where CHARTER_DATA is set
(trainer_rows.py), of a usual length, and each is met for the first time. Steps and looks take turns, and the best of
each counts. Prints JSON as its last line: `share` is the looks' of the run's time, `first_look_s` has the base's own
replies in it, once a run, and `measure_s` are the held-out rows' loss and KL at its end. `smallest_share` is what all
of that takes of one pass over the fewest prompts of which some are held out by default, a pair each. Exit status 1
where `share` is over 5 %. Left out: AdamW's update, and SFT, whose step is shorter and whose look is the same.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import machine
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.allocator import keep_freed_memory
from training.configs import FEWEST_HELD_OUT, ONE_IN, DpoConfig
from training.dpo import add_pair_gradients, held_out_metrics
from training.loop import RARE_LOOKS
from training.model import load_policy
from training.precision import resolve_numbers
from training.reply_looks import REPLIES, REPLY_TOKENS, reply_look
from training.rows import write_rows
from training.tokenising import load_tokenized_rows

_STEPS, _HELD_OUT = 2, FEWEST_HELD_OUT
_MOST_CHARS = 1200  # of a prompt and its longer reply
_MOST_SHARE = 0.05


def measure(config: DpoConfig) -> Mapping[str, float | str]:
    """The first steps of a run, and a look after each."""
    rows, numbers = load_tokenized_rows(config, with_rejected=True), resolve_numbers(config.precision)
    policy = load_policy(config, numbers)
    look = reply_look(policy, config, rows.held_out)
    if look is None:
        raise SystemExit("no held-out prompt leaves room for a reply")
    reference_N2 = torch.full((len(rows.kept), 2), float("nan"))
    weights = policy.adapter_weights().values()

    def step(number: int) -> None:
        first = number * config.pairs_per_step
        add_pair_gradients(policy, config, rows.kept, reference_N2, range(first, first + config.pairs_per_step))
        for weight in weights:
            weight.grad = None

    first_look_s, steps_s, looks_s = seconds_of(look), [], []
    for number in range(_STEPS):
        steps_s.append(seconds_of(lambda number=number: step(number)))
        looks_s.append(seconds_of(look))
    held_out_N2 = torch.full((len(rows.held_out), 2), float("nan"))
    measure_s = seconds_of(lambda: held_out_metrics(policy, config, rows.held_out, held_out_N2))
    step_s, look_s, between = min(steps_s), min(looks_s), config.checkpoint_every_steps
    once_s, fewest_steps = first_look_s + measure_s, FEWEST_HELD_OUT * (ONE_IN - 1) / config.pairs_per_step
    return {
        "precision": numbers.precision,
        "replies": REPLIES,
        "reply_tokens": REPLY_TOKENS,
        "pairs_per_step": config.pairs_per_step,
        "steps_between_looks": RARE_LOOKS * between,
        "pair_tokens": sum(row.group.tokens for row in rows.kept) / len(rows.kept),
        "prompt_tokens": sum(len(row.group.prompt) for row in rows.held_out) / len(rows.held_out),
        "step_s": step_s,
        "look_s": look_s,
        "first_look_s": first_look_s,
        "measure_s": measure_s,
        "share": look_s / (look_s + RARE_LOOKS * between * step_s),
        "smallest_share": once_s / (once_s + fewest_steps * step_s),
        "limited_share": look_s / (look_s + between * step_s),
    }


def seconds_of(job: Callable[[], object]) -> float:
    """On a GPU until it is done with what it was given."""
    began = time.perf_counter()
    job()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    options = parser.parse_args()
    keep_freed_memory()
    model = base_model_folder(options.model, CACHE)
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        config = DpoConfig(
            model=model, rows=Path(folder) / "rows.jsonl", output=Path(folder) / "out", precision=options.precision
        )
        learnt = _STEPS * config.pairs_per_step
        write_rows(config.rows, first_rows(learnt + _HELD_OUT, _MOST_CHARS))
        measured = measure(replace(config, held_out_share=_HELD_OUT / (learnt + _HELD_OUT)))
    print(json.dumps({"model": model.name, "data": data_name(), "machine": machine(), **measured}))
    return 1 if measured["share"] > _MOST_SHARE else 0


if __name__ == "__main__":
    sys.exit(main())

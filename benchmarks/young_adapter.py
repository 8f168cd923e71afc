"""How much of a young adapter's effect a pass in bf16 shows: ours and plain peft's beside fp32, at the same weights.

    CHARTER_DATA=... python -m benchmarks.young_adapter [--model FOLDER] [--docs]

DPO trains two steps in fp32 from scratch, on 8 pairs. Then each side computes the implicit margins of these pairs and
of 8 others in bf16: `share` is the slope of its margins on fp32's (1 where nothing is lost), `error_nats` the root mean
square of what they are apart, beside `margin_nats`, that of fp32's margins themselves..
JSON is the last line; the exit status is 1 where ours shows less than 0.9. Left out: gradients.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks.documents import rewrite_block, table
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import PAGE, PAIRS_PER_STEP, Task, machine
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.configs import DpoConfig, load_config
from training.dpo import train_dpo
from training.model import load_policy, reply_logps
from training.packing import TokenGroup, pack_groups
from training.precision import resolve_numbers
from training.rows import write_rows
from training.tokenising import load_tokenized_rows

_STEPS, _OTHERS = 2, 8
_LEAST_SHARE = 0.9
_KNOBS = {"learning_rate": 1e-4, "lora_rank": 16, "epochs": 1, "held_out_share": 0.0}


def config_of(task: Task, precision: str, output: str, **more: object) -> DpoConfig:
    """The task's, on its rows."""
    path = task.folder / f"{output}.yaml"
    path.write_text(yaml.safe_dump({**task.keys(output), "precision": precision, **more}))
    return load_config(path, DpoConfig)


def our_margins(config: DpoConfig, groups: Sequence[TokenGroup]) -> Tensor:
    """Of the adapter that the config begins with, G, nats."""
    policy = load_policy(config, resolve_numbers(config.precision))
    margins: list[Tensor] = []
    with torch.no_grad():
        for group in groups:
            packed = pack_groups([group], policy.numbers.dtype, policy.numbers.device)
            moved_2 = reply_logps(policy, packed)
            with policy.as_reference():
                moved_2 = moved_2 - reply_logps(policy, packed)
            margins.append(moved_2[0] - moved_2[1])
    return torch.stack(margins).double()


def peft_margins(model: Path, adapter: Path, groups: Sequence[TokenGroup]) -> Tensor:
    """The same by transformers' and peft's own modules, in bf16, each reply in a pass of its own."""
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, local_files_only=True)
    policy = PeftModel.from_pretrained(base, adapter).eval()

    def logp(prompt: tuple[int, ...], reply: tuple[int, ...]) -> Tensor:
        logits_TV = policy(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1].float()
        return logits_TV.log_softmax(-1).gather(1, torch.tensor(reply)[:, None]).sum()

    margins: list[Tensor] = []
    with torch.no_grad():
        for group in groups:
            own = [logp(group.prompt, reply) for reply in group.replies]
            with policy.disable_adapter():
                moved = [one - logp(group.prompt, reply) for one, reply in zip(own, group.replies, strict=True)]
            margins.append(moved[0] - moved[1])
    return torch.stack(margins).double()


def beside(margins_G: Tensor, exact_G: Tensor) -> dict[str, float]:
    """The slope through 0 of the margins on the exact ones, and how far apart they are."""
    slope = (margins_G * exact_G).sum() / exact_G.square().sum()
    return {"share": slope.item(), "error_nats": (margins_G - exact_G).square().mean().sqrt().item()}


def measure(model: Path, folder: Path) -> dict[str, dict[str, float]]:
    """`exact`, `ours` and `peft`."""
    task = Task("dpo", model, folder, "fp32", PAIRS_PER_STEP, _KNOBS)
    rows = first_rows(_STEPS * PAIRS_PER_STEP + _OTHERS)
    write_rows(folder / "rows.jsonl", rows[: _STEPS * PAIRS_PER_STEP])
    train_dpo(config_of(task, "fp32", "young"))
    write_rows(folder / "rows.jsonl", rows)
    adapter = folder / "young" / "adapter"
    exact, ours = (config_of(task, name, name, start_adapter=str(adapter)) for name in ("fp32", "bf16"))
    groups = [one.group for one in load_tokenized_rows(exact, with_rejected=True).kept]
    exact_G = our_margins(exact, groups)
    return {
        "exact": {"pairs": len(groups), "margin_nats": exact_G.square().mean().sqrt().item()},
        "ours": beside(our_margins(ours, groups), exact_G),
        "peft": beside(peft_margins(model, adapter, groups), exact_G),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the page's block where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args(arguments)
    model = base_model_folder(options.model, CACHE)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(model, Path(folder))
    if options.docs:
        exact = found["exact"]
        rows = [
            (name, f"{found[side]['share']:.2f}", f"{found[side]['error_nats']:.2f}")
            for name, side in (("ours", "ours"), ("plain peft", "peft"))
        ]
        text = (
            f"{model.name}, {data_name()}, {machine()}; {exact['pairs']} pairs, margins of {exact['margin_nats']:.2f} "
            "nats (root mean square) in fp32:\n\n"
        )
        rewrite_block(PAGE, "young adapter", text + table(("in bf16", "share of the margin", "error, nats"), rows))
    print(json.dumps({"model": model.name, "data": data_name(), "machine": machine(), **found}))
    return 0 if found["ours"]["share"] >= _LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())

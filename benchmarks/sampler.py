"""How near the engine that samples for PPO is to the trainer, with its logits in the weights' format and in float32.

    CHARTER_DATA=... python -m benchmarks.sampler [--precision bf16|fp32] [--prompts 32] [--rounds 2] [--docs]

Two vLLM servers of the bundled 135M model, in the trainer's format, take turns at the same prompts, replies of at
most 64 tokens, on a quiet machine. What each wrote last is then seen by the trainer, in the same format and in fp32:
`ratio_apart` is |p of the trainer over p of the sampler - 1| of a sampled token, `kl` is KL(sampler || trainer) in
nats a token (k3, training/kl.py). `trainer` stands for the trainer itself beside fp32, on the replies of the first
server. `--docs` writes the table of docs/performance.md; the last line is JSON.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch

from benchmarks.documents import rewrite_block, table
from benchmarks.trainer_rows import data_name, first_rows
from benchmarks.trainer_sides import PAGE, machine
from judges.engine import EngineSettings, running_engine
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.configs import TrainConfig
from training.kl import k3
from training.model import load_policy, reply_token_logps
from training.packing import TokenGroup, pack_groups, split_by_tokens
from training.precision import resolve_numbers
from training.tokenising import load_tokenizer
from training.turns import prompt_tokens

_MOST_CHARS = 1500  # of a prompt and a reply
_REPLY_TOKENS = 64
HEADS = {"narrow": False, "wide": True}


@dataclass(frozen=True, slots=True)
class Sampled:
    """One server's last replies to all prompts: their tokens, each with its log-probability there, and the seconds of
    each round."""

    groups: tuple[TokenGroup, ...]
    logps: tuple[float, ...]
    seconds: tuple[float, ...]


async def sample(model: Path, precision: str, prompts: Sequence[tuple[int, ...]], rounds: int) -> dict[str, Sampled]:
    """Both servers are up at once; the one that waits costs nothing."""
    found: dict[str, list[tuple[float, list[dict[str, object]]]]] = {name: [] for name in HEADS}
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        settings = {name: engine(model, precision, Path(folder), name) for name in HEADS}
        async with running_engine(settings["narrow"]), running_engine(settings["wide"]):
            for _ in range(rounds + 1):
                for name, own in settings.items():
                    found[name].append(await ask(own, prompts))
    return {name: sampled(prompts, turns[1:]) for name, turns in found.items()}  # the first one warms up


def engine(model: Path, precision: str, folder: Path, name: str) -> EngineSettings:
    return EngineSettings(
        model_path=str(model),
        served_name=name,
        socket_path=folder / f"{name}.sock",
        log_path=folder / f"{name}.log",
        max_model_len=2048,
        dtype="float32" if precision == "fp32" else "bfloat16",
        wide_head=HEADS[name],
        reloadable=True,  # for the route that empties the prefix cache
    )


async def ask(settings: EngineSettings, prompts: Sequence[tuple[int, ...]]) -> tuple[float, list[dict[str, object]]]:
    """How long the server took, and its replies in the prompts' order."""
    body = {
        "model": settings.served_name, "prompt": [list(prompt) for prompt in prompts], "max_tokens": _REPLY_TOKENS,
        "temperature": 1.0, "return_token_ids": True, "logprobs": 0,
    }  # fmt: skip
    transport = httpx.AsyncHTTPTransport(uds=str(settings.socket_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=600.0) as http:
        (await http.post("/reset_prefix_cache")).raise_for_status()
        began = time.perf_counter()
        answer = (await http.post("/v1/completions", json=body)).raise_for_status()
    seconds = time.perf_counter() - began
    return seconds, sorted(answer.json()["choices"], key=lambda choice: choice["index"])


def sampled(prompts: Sequence[tuple[int, ...]], turns: Sequence[tuple[float, list[dict[str, object]]]]) -> Sampled:
    groups, logps = [], []
    for place, (prompt, choice) in enumerate(zip(prompts, turns[-1][1], strict=True)):
        groups.append(TokenGroup(str(place), prompt, (tuple(choice["token_ids"]),)))
        logps += choice["logprobs"]["token_logprobs"]
    return Sampled(tuple(groups), tuple(logps), tuple(seconds for seconds, _ in turns))


def trainer_logps(model: Path, groups: Sequence[TokenGroup], precision: str) -> list[float]:
    """Of the base, which a fresh policy is."""
    config = TrainConfig(model=model, rows=model, output=model)
    policy = load_policy(config, resolve_numbers(precision))
    found: list[float] = []
    with policy.as_reference():
        for batch in split_by_tokens(groups, config.tokens_per_batch):
            packed = pack_groups(batch, policy.numbers.dtype, policy.numbers.device)
            found += reply_token_logps(policy, packed).tolist()
    return found


def apart(sampler: Sequence[float], trainer: Sequence[float]) -> dict[str, float]:
    """How far the second is from the first, at tokens that the first sampled."""
    log_ratios = torch.tensor(sampler, dtype=torch.float64) - torch.tensor(trainer, dtype=torch.float64)
    ratio_apart = (-log_ratios).expm1().abs()
    return {
        "ratio_apart_mean": ratio_apart.mean().item(),
        "ratio_apart_99": ratio_apart.quantile(0.99).item(),
        "ratio_apart_max": ratio_apart.max().item(),
        "kl": statistics.fmean(k3(one) for one in log_ratios.tolist()),
    }


def figures_of(model: Path, found: Mapping[str, Sampled], precision: str) -> dict[str, dict[str, object]]:
    """Each server beside the trainer and beside fp32, and the trainer beside fp32."""
    figures: dict[str, dict[str, object]] = {}
    for name, one in found.items():
        own, exact = (trainer_logps(model, one.groups, format) for format in (precision, "fp32"))
        figures[name] = {
            "seconds": statistics.median(one.seconds), "tokens": len(one.logps),
            "trainer": apart(one.logps, own), "fp32": apart(one.logps, exact),
        }  # fmt: skip
        figures.setdefault("trainer", {"fp32": apart(own, exact)})
    return figures


def block(figures: Mapping[str, dict[str, object]], precision: str, prompts: int) -> str:
    """The table of docs/performance.md."""
    named = (
        ("narrow", f"{precision} logits"),
        ("wide", "float32 logits"),
        ("trainer", f"the trainer's own, {precision}"),
    )
    rows = [
        (
            label,
            _cell(figures[name].get("seconds"), ".1f"),
            *_apart_cells(figures[name].get("trainer")),
            *_apart_cells(figures[name]["fp32"]),
        )
        for name, label in named
    ]
    head = ("", "seconds", "apart, mean", "99 % under", "KL", "fp32: apart, mean", "99 % under", "KL")
    return f"{prompts} replies of at most {_REPLY_TOKENS} tokens, {data_name()}, {machine()}:\n\n{table(head, rows)}"


def _apart_cells(found: object) -> tuple[str, ...]:
    if not isinstance(found, dict):
        return ("",) * 3
    return _cell(found["ratio_apart_mean"], ".3f"), _cell(found["ratio_apart_99"], ".2f"), _cell(found["kl"], ".4f")


def _cell(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, float) else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16", help="the trainer's")
    parser.add_argument("--docs", action="store_true", help="rewrite the table in docs/performance.md")
    options = parser.parse_args()
    model = base_model_folder(None, CACHE)
    tokenizer = load_tokenizer(model)
    rows = first_rows(options.prompts, most_chars=_MOST_CHARS)
    prompts = [prompt_tokens(row.prompt, tokenizer, f"row {row.id!r}") for row in rows]
    found = asyncio.run(sample(model, options.precision, prompts, options.rounds))
    figures = figures_of(model, found, options.precision)
    if options.docs:
        rewrite_block(PAGE, "sampler", block(figures, options.precision, options.prompts))
    print(json.dumps({"precision": options.precision, "data": data_name(), "machine": machine(), **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Does a reward model score behind a server what it scored in training? vLLM's classifier and our own, beside torch.

    python -m benchmarks.reward_served [--pairs 32]

The bundled 135M model learns the demo's hand-labelled pairs for one epoch; then transformers, `python -m training
serve` and vLLM (on the merged model, `--runner pooling --convert classify`) score the same replies. The last line is
JSON: the largest difference of a score from transformers', the same pairs won, and replies a second. Exit status 1
where a score is more than 0.01 away, in logits.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from judges.client import ChatClient
from judges.engine import EngineSettings, running_engine
from judges.protocols.reward import rewarded
from judges.records import Comparison, Conversation
from judges.replicas import Endpoint
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from service.exchange.labelled import read_labelled
from training.configs import RewardConfig, config_from
from training.merge import merge_adapter
from training.reward import train_reward
from training.rows import PreferenceRow, write_rows
from training.tokenising import load_tokenizer

HUMAN = Path(__file__).resolve().parents[1] / "service" / "demo" / "human.jsonl"
FURTHEST = 0.01


def trained(model: Path, folder: Path, pairs: Sequence[Comparison]) -> Path:
    """A reward model's adapter, after one epoch."""
    rows = [
        PreferenceRow(c.id, c.prompt_id, c.messages, c.a, c.b, p_chosen=0.95, weight=1.0, source="human") for c in pairs
    ]
    write_rows(folder / "rows.jsonl", rows)
    values = {"model": str(model), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out")}
    knobs = {"learning_rate": 2e-4, "held_out_share": 0.0, "prompts_per_step": 8, "lora_layers_share": 0.5}
    train_reward(config_from(values | knobs, RewardConfig, "benchmark"))
    return folder / "out" / "adapter"


def by_transformers(model: Path, adapter: Path, turns: Sequence[Conversation]) -> list[float]:
    """One conversation at a time, by plain transformers and peft."""
    tokenizer = load_tokenizer(model)
    base = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, adapter).eval()
    found = []
    with torch.no_grad():
        for conversation in turns:
            messages = [{"role": m.role, "content": m.content} for m in conversation]
            ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=False)
            found.append(plain(input_ids=ids).logits[0, 0].item())
    return found


@asynccontextmanager
async def served_by_us(model: Path, adapter: Path) -> AsyncIterator[Endpoint]:
    command = [sys.executable, "-m", "training", "serve", "--model", str(model), "--adapter", str(adapter)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: ASYNC220
        try:
            assert server.stdout is not None
            said = json.loads(await asyncio.to_thread(server.stdout.readline))
            yield Endpoint("reward-model", said["url"])
        finally:
            server.terminate()


@asynccontextmanager
async def served_by_vllm(merged: Path, folder: Path) -> AsyncIterator[Endpoint]:
    settings = EngineSettings(
        model_path=str(merged),
        served_name="reward-model",
        socket_path=folder / "v.sock",
        log_path=folder / "v.log",
        max_model_len=2048,
        extra_args=("--runner", "pooling", "--convert", "classify"),
    )
    async with running_engine(settings) as engine:
        yield engine.endpoint


async def asked(endpoint: Endpoint, turns: Sequence[Conversation]) -> tuple[list[float], float]:
    """The scores, and replies a second after a first one."""
    async with ChatClient([endpoint]) as client:
        await client.reward(turns[0])
        began = time.perf_counter()
        replies = await asyncio.gather(*(client.reward(conversation) for conversation in turns))
        return [reply.score for reply in replies], len(turns) / (time.perf_counter() - began)


async def measured(model: Path, folder: Path, pairs: Sequence[Comparison]) -> dict[str, dict[str, float]]:
    """Each server beside transformers."""
    adapter = trained(model, folder, pairs)
    turns = list(itertools.chain.from_iterable((rewarded(c, c.a), rewarded(c, c.b)) for c in pairs))
    wanted = by_transformers(model, adapter, turns)
    merged = merge_adapter(model, adapter, folder / "merged")
    found = {}
    for name, server in {"ours": served_by_us(model, adapter), "vllm": served_by_vllm(merged, folder)}.items():
        async with server as endpoint:
            scores, rate = await asked(endpoint, turns)
        found[name] = {
            "max_difference": max(abs(a - b) for a, b in zip(scores, wanted, strict=True)),
            "same_winner": sum(
                (scores[i] > scores[i + 1]) == (wanted[i] > wanted[i + 1]) for i in range(0, len(turns), 2)
            )
            / len(pairs),
            "replies_per_s": rate,
        }
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=32)
    options = parser.parse_args()
    pairs = [pair.comparison for pair in read_labelled(HUMAN, None)[: options.pairs]]
    with tempfile.TemporaryDirectory(prefix="ch-") as folder:
        found = asyncio.run(measured(base_model_folder(None, CACHE), Path(folder), pairs))
    print(json.dumps({"pairs": len(pairs), **found}))
    return 0 if all(one["max_difference"] <= FURTHEST for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

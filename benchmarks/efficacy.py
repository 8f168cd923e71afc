"""Do the trainers reach what a judge of known taste prefers? DPO and PPO beside SFT, the control, from the same base.

    python -m benchmarks.efficacy [--arms sft dpo ppo rloo] [--model FOLDER] [--docs]

The judge is the scripted one, which prefers the shorter reply: 88 % sure of each pair, and of one reply alone it takes
a level of five off for every ten words. The base (SmolLM2-135M-Instruct) answers the demo's 96 training prompts four
times at temperature 1; all pairs of a prompt are judged. SFT learns the replies that won most, DPO the pairs with
the judge's beliefs, PPO and RLOO ask the judge while they learn. Then base and adapter answer the 48 held-out prompts
four times each and meet before the judge: a shorter reply wins, an equal one draws. KL is that of the adapter's own
held-out replies, in nats a reply. Prints JSON as its last line. Exit status 1 where DPO wins under 85 %, PPO under
90 %, or either took over 15 minutes.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import torch
import yaml
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from benchmarks.documents import rewrite_block, table
from benchmarks.trainer_sides import PAGE, machine
from constitutions.schema import JudgedPrinciple
from judges.compare import compare
from judges.engine import EngineSettings, running_engine
from judges.gathering import all_of
from judges.records import Comparison, Preference, PrincipleVerdict, Prompt
from judges.scripted_client import ScriptedClient
from service.demo.base_model import base_model_folder
from service.demo.content import PROMPTS
from service.demo.recipe import CACHE
from service.exchange.prompts import read_prompts
from training.configs import TrainConfig
from training.engine_sampler import EngineSampler
from training.model import Policy, load_policy, reply_logps
from training.packing import TokenGroup, pack_groups, split_by_tokens
from training.precision import resolve_numbers
from training.rollouts import OnlinePrompt, Rollout, sample_rollouts
from training.rows import PreferenceRow, write_rows
from training.statistics import Interval, clustered_mean
from training.tokenising import load_tokenizer
from training.turns import prompt_tokens, turn_ends

REPLIES, REPLY_TOKENS, CONTEXT = 4, 64, 1024
LEAST_WINS = {"dpo": 0.85, "ppo": 0.90}
MOST_S = 900
TASTE = JudgedPrinciple(id="short", text="The shorter reply is better.")
LAW = "name: taste\nprinciples:\n  - {id: short, kind: judged, text: The shorter reply is better.}\n"
HALF = {"learning_rate": 5e-4, "lora_layers_share": 0.5, "held_out_share": 0.0}
KNOBS: Mapping[str, Mapping[str, object]] = {
    "sft": {**HALF, "epochs": 2},
    "dpo": {**HALF, "beta": 0.05, "sft_weight": 0.2},
    "ppo": {**HALF, "epochs": 4, "kl_weight": 0.01, "minibatches": 4},
    "rloo": {**HALF, "epochs": 2, "kl_weight": 0.01, "replies_per_prompt": 4, "prompts_per_step": 8, "minibatches": 2},
}


@dataclass(frozen=True, slots=True)
class Arm:
    """One trainer: seconds of its process from start to end, what the judge said, how far it moved (`kl`)."""

    seconds: float
    win_rate: float
    low: float
    high: float
    kl: float
    reply_tokens: float
    finished: float


class Writer:
    """The base, or an adapter on it, behind one engine whose weights are changed in place."""

    def __init__(self, model: Path, folder: Path) -> None:
        numbers = resolve_numbers("auto")
        config = TrainConfig(model=model, rows=folder / "rows.jsonl", output=folder)
        self.tokenizer = load_tokenizer(model)
        self.policy: Policy = load_policy(config, numbers)
        ends = turn_ends(self.tokenizer, model)
        self._sampler = EngineSampler(
            self.policy, model, folder / "engine.log", context=CONTEXT, reply_tokens=REPLY_TOKENS, ends=ends
        )

    def close(self) -> None:
        self._sampler.close()

    def load(self, adapter: Path) -> None:
        """From now on the adapter writes."""
        set_peft_model_state_dict(self.policy.model, load_file(adapter / "adapter_model.safetensors"))

    def write(self, prompts: Sequence[Prompt], name: str) -> list[Rollout]:
        """REPLIES to each prompt, those of one prompt together."""
        asked = [self._asked(prompt) for prompt in prompts for _ in range(REPLIES)]
        return sample_rollouts(self._sampler, self.tokenizer, asked, name, seed=0)

    def kl(self, rollouts: Sequence[Rollout]) -> float:
        """Mean of log adapter - log base over its own replies, nats a reply."""
        groups = [TokenGroup(str(n), one.asked.tokens, (one.reply.tokens,)) for n, one in enumerate(rollouts)]
        total = 0.0
        with torch.no_grad():
            for batch in split_by_tokens(groups, 2048):
                packed = pack_groups(batch, self.policy.numbers.dtype, self.policy.numbers.device)
                with self.policy.as_reference():
                    base_R = reply_logps(self.policy, packed)
                total += (reply_logps(self.policy, packed) - base_R).sum().item()
        return total / len(groups)

    def _asked(self, prompt: Prompt) -> OnlinePrompt:
        return OnlinePrompt(prompt, prompt_tokens(prompt.messages, self.tokenizer, f"prompt {prompt.id!r}"))


def judged(pairs: Sequence[Comparison]) -> list[float]:
    """The judge's belief that A is better, both orders averaged."""

    async def ask() -> tuple[PrincipleVerdict, ...]:
        return await all_of(compare(ScriptedClient(), pair, TASTE) for pair in pairs)

    beliefs = [one.verdict.p_a for one in asyncio.run(ask()) if isinstance(one.verdict, Preference)]
    if len(beliefs) < len(pairs):
        raise SystemExit(f"the scripted judge abstained on {len(pairs) - len(beliefs)} of {len(pairs)} pairs")
    return beliefs


def preference_rows(rollouts: Sequence[Rollout]) -> list[PreferenceRow]:
    """All pairs of a prompt's replies as the judge sees them; equal replies make no pair."""
    pairs: list[Comparison] = []
    for start in range(0, len(rollouts), REPLIES):
        for one, other in combinations(rollouts[start : start + REPLIES], 2):
            if one.text.strip() and other.text.strip() and one.text != other.text:
                prompt = one.asked.prompt
                pairs.append(Comparison(f"{prompt.id}-{len(pairs)}", prompt.id, prompt.messages, one.text, other.text))
    rows: list[PreferenceRow] = []
    for pair, p_a in zip(pairs, judged(pairs), strict=True):
        chosen, rejected = (pair.a, pair.b) if p_a >= 0.5 else (pair.b, pair.a)
        belief = max(p_a, 1 - p_a)
        rows.append(PreferenceRow(pair.id, pair.prompt_id, pair.messages, chosen, rejected, belief, 1.0, "ai"))
    return rows


def best_rows(rows: Sequence[PreferenceRow]) -> list[PreferenceRow]:
    """Of each prompt the row whose chosen reply won most: what SFT imitates."""
    wins: dict[tuple[str, str], int] = {}
    for row in rows:
        wins[row.prompt_id, row.chosen] = wins.get((row.prompt_id, row.chosen), 0) + 1
    best: dict[str, PreferenceRow] = {}
    for row in rows:
        known = best.get(row.prompt_id)
        if known is None or wins[row.prompt_id, row.chosen] > wins[row.prompt_id, known.chosen]:
            best[row.prompt_id] = row
    return list(best.values())


def train(arm: str, model: Path, folder: Path) -> tuple[Path, float]:
    """The trainer as anyone runs it; PPO and RLOO with the scripted judge as a server beside it."""
    rows = folder / ("best.jsonl" if arm == "sft" else "rows.jsonl")
    values: dict[str, object] = {"model": str(model), "rows": str(rows), "output": str(folder / arm), **KNOBS[arm]}
    online = arm in ("ppo", "rloo")
    socket = folder / "judge.sock"
    if online:
        (folder / "law.yaml").write_text(LAW)
        values |= {"constitution": str(folder / "law.yaml"), "judge_url": f"unix:{socket}", "judge_model": "scripted"}
        values |= {"sampler": "vllm", "reply_tokens": REPLY_TOKENS, "max_tokens": CONTEXT, "missing_eos_penalty": 0.2}
    config = folder / f"{arm}.yaml"
    config.write_text(yaml.safe_dump(values))

    async def run() -> float:
        began = asyncio.get_running_loop().time()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "training", arm, str(config), stdout=subprocess.DEVNULL
        )
        if await child.wait():
            raise subprocess.CalledProcessError(child.returncode or 1, f"training {arm}")
        return asyncio.get_running_loop().time() - began

    async def beside_judge() -> float:
        settings = EngineSettings("", "scripted", socket, folder / "judge.log", program="scripted")
        async with running_engine(settings):
            return await run()

    return folder / arm / "adapter", asyncio.run(beside_judge() if online else run())


def measured(writer: Writer, before: Sequence[Rollout], prompts: Sequence[Prompt], arm: str, seconds: float) -> Arm:
    """What the judge says of the adapter's replies beside the base's."""
    after = writer.write(prompts, arm)
    pairs = [
        Comparison(str(n), new.asked.prompt.id, new.asked.prompt.messages, new.text, old.text)
        for n, (new, old) in enumerate(zip(after, before, strict=True))
    ]
    wins: dict[str, list[float]] = {}
    for pair, p_a in zip(pairs, judged(pairs), strict=True):
        wins.setdefault(pair.prompt_id, []).append(float(p_a > 0.5) if p_a != 0.5 else 0.5)
    rate = clustered_mean(wins)
    if not isinstance(rate, Interval):
        raise SystemExit("fewer than two held-out prompts")
    replies = [one.reply for one in after]
    return Arm(
        seconds=seconds,
        win_rate=rate.estimate,
        low=rate.low,
        high=rate.high,
        kl=writer.kl(after),
        reply_tokens=sum(len(reply.tokens) for reply in replies) / len(replies),
        finished=sum(reply.finished for reply in replies) / len(replies),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", default=["sft", "dpo", "ppo"], choices=list(KNOBS))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--docs", action="store_true", help="write the table of docs/performance.md anew")
    options = parser.parse_args()
    model = base_model_folder(options.model, CACHE)
    prompts = read_prompts(PROMPTS.read_bytes(), PROMPTS.name, "application/jsonl")
    train_set, held_out = ([prompt for prompt in prompts if prompt.split == split] for split in ("train", "held_out"))
    arms: dict[str, Arm] = {}
    with tempfile.TemporaryDirectory(prefix="ch-") as name:
        folder = Path(name)
        (folder / "rows.jsonl").touch()
        with closing(Writer(model, folder)) as writer:
            rows = preference_rows(writer.write(train_set, "base"))
            write_rows(folder / "rows.jsonl", rows)
            write_rows(folder / "best.jsonl", best_rows(rows))
            before = writer.write(held_out, "base")
            for arm in options.arms:
                adapter, seconds = train(arm, model, folder)
                writer.load(adapter)
                arms[arm] = measured(writer, before, held_out, arm, seconds)
                print(f"{arm}: {asdict(arms[arm])}", flush=True)
    missed = [
        a for a, least in LEAST_WINS.items() if a in arms and (arms[a].win_rate < least or arms[a].seconds > MOST_S)
    ]
    setup = {"model": model.name, "machine": machine(), "pairs": len(rows), "held_out": len(held_out)}
    if options.docs:
        rewrite_block(PAGE, "efficacy", block(arms, setup))
    figures = {f"{arm}_{key}": value for arm, one in arms.items() for key, value in asdict(one).items()}
    print(json.dumps(setup | figures | {"missed": ", ".join(missed)}))
    return 1 if missed else 0


def block(arms: Mapping[str, Arm], setup: Mapping[str, object]) -> str:
    """The table of docs/performance.md."""
    rows = [
        (
            arm.upper(),
            f"{one.win_rate:.0%} ({one.low:.0%} to {one.high:.0%})",
            f"{one.kl:.1f}",
            f"{one.reply_tokens:.0f}",
            f"{one.finished:.0%}",
            f"{one.seconds / 60:.1f}",
        )
        for arm, one in arms.items()
    ]
    head = ("trainer", "wins over the base", "KL, nats a reply", "tokens a reply", "ended by itself", "minutes")
    caption = "{model}, {machine}; {pairs} pairs to learn from, {held_out} held-out prompts:".format_map(setup)
    return "\n\n".join((caption, table(head, rows)))


if __name__ == "__main__":
    sys.exit(main())

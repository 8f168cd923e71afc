"""What both sides of a trainers' benchmark begin with: token ids in the order of our steps, and one adapter.

    python -m benchmarks.trainer_start dpo|reward config.yaml ADAPTER > start.json

The config is a trainer's own (training/configs.py). The adapter is the one that our trainer begins with, saved for
peft. It runs in a process of its own, so that its memory is on neither side's account. Prints JSON: {"train",
"held_out"}, lists of {"id", "prompt_ids", "chosen_ids", "rejected_ids"}.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from training.configs import DpoConfig, RewardConfig, load_config
from training.model import load_policy
from training.packing import TokenGroup
from training.precision import resolve_numbers
from training.reward import load_reward_model
from training.reward_rows import RewardPrompt, load_reward_rows
from training.rows import read_rows
from training.schedule import Plan
from training.tokenising import load_tokenized_rows

Ids = dict[str, str | tuple[int, ...]]


def dpo_start(config: DpoConfig, adapter: Path) -> dict[str, list[Ids]]:
    """The rows of all steps, one behind the other."""
    groups = [row.group for row in load_tokenized_rows(config, with_rejected=True).kept]
    load_policy(config, resolve_numbers(config.precision)).model.save_pretrained(adapter)
    plan = Plan(len(groups), config.pairs_per_step, config.epochs, config.seed)
    return {"train": [_ids(groups[number]) for number in _in_order(plan)], "held_out": []}


def reward_start(config: RewardConfig, adapter: Path) -> dict[str, list[Ids]]:
    """Likewise; every prompt has one pair."""
    rows = load_reward_rows(config, read_rows(config.rows))
    load_reward_model(config, resolve_numbers(config.precision)).model.save_pretrained(adapter)
    plan = Plan(len(rows.train), config.prompts_per_step, config.epochs, config.seed)
    return {
        "train": [_ids(_pair(rows.train[number])) for number in _in_order(plan)],
        "held_out": [_ids(_pair(prompt)) for prompt in rows.held_out],
    }


def _in_order(plan: Plan) -> Sequence[int]:
    return [number for step in range(plan.steps) for number in plan.rows_of_step(step)]


def _pair(prompt: RewardPrompt) -> TokenGroup:
    (pair,) = prompt.pairs
    replies = prompt.group.replies
    return TokenGroup(pair.row.id, prompt.group.prompt, (replies[pair.chosen], replies[pair.rejected]))


def _ids(group: TokenGroup) -> Ids:
    chosen, rejected = group.replies
    return {"id": group.row_id, "prompt_ids": group.prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def main(method: str, config: Path, adapter: Path) -> None:
    if method == "dpo":
        start = dpo_start(load_config(config, DpoConfig), adapter)
    else:
        start = reward_start(load_config(config, RewardConfig), adapter)
    print(json.dumps(start))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

"""What both sides of a trainers' benchmark begin with: token ids in the order of our steps, and one adapter.

    python -m benchmarks.trainer_start dpo|reward config.yaml ADAPTER > start.json

The config is a trainer's own (training/configs.py). The adapter is the one that our trainer begins with, saved for
peft. It runs in a process of its own, so that its memory is on neither side's account. Prints JSON: {"train",
"held_out"}, lists of {"id", "prompt_ids", "chosen_ids", "rejected_ids", "shared"}; the last one is how many tokens of
the prompt our layout computes with another row of the step.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from training.configs import DpoConfig, RewardConfig, load_config
from training.model import load_policy
from training.packing import TokenGroup, opening_tokens, split_by_tokens
from training.precision import resolve_numbers
from training.reward import load_reward_model
from training.reward_rows import RewardPrompt, load_reward_rows
from training.rows import read_rows
from training.schedule import Plan
from training.tokenising import load_tokenized_rows

Ids = dict[str, str | int | tuple[int, ...]]


def dpo_start(config: DpoConfig, adapter: Path) -> dict[str, list[Ids]]:
    """The rows of all steps, one behind the other."""
    groups = [row.group for row in load_tokenized_rows(config, with_rejected=True).kept]
    load_policy(config, resolve_numbers(config.precision)).model.save_pretrained(adapter)
    plan = Plan(len(groups), config.pairs_per_step, config.epochs, config.seed)
    steps = [[groups[number] for number in plan.rows_of_step(step)] for step in range(plan.steps)]
    return {"train": _steps_ids(steps, config), "held_out": []}


def reward_start(config: RewardConfig, adapter: Path) -> dict[str, list[Ids]]:
    """Likewise; every prompt has one pair."""
    rows = load_reward_rows(config, read_rows(config.rows))
    load_reward_model(config, resolve_numbers(config.precision)).model.save_pretrained(adapter)
    plan = Plan(len(rows.train), config.prompts_per_step, config.epochs, config.seed)
    steps = [[_pair(rows.train[number]) for number in plan.rows_of_step(step)] for step in range(plan.steps)]
    return {"train": _steps_ids(steps, config), "held_out": [_ids(_pair(prompt), 0) for prompt in rows.held_out]}


def _steps_ids(steps: Sequence[Sequence[TokenGroup]], config: DpoConfig | RewardConfig) -> list[Ids]:
    """Of a batch's rows, the first one computes what their prompts begin with."""
    found: list[Ids] = []
    for step in steps:
        for batch in split_by_tokens(step, config.tokens_per_batch):
            shared = opening_tokens(batch)
            found += [_ids(group, shared if number else 0) for number, group in enumerate(batch)]
    return found


def _pair(prompt: RewardPrompt) -> TokenGroup:
    (pair,) = prompt.pairs
    replies = prompt.group.replies
    return TokenGroup(pair.row.id, prompt.group.prompt, (replies[pair.chosen], replies[pair.rejected]))


def _ids(group: TokenGroup, shared: int) -> Ids:
    chosen, rejected = group.replies
    ids = {"prompt_ids": group.prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    return {"id": group.row_id, **ids, "shared": shared}


def main(method: str, config: Path, adapter: Path) -> None:
    if method == "dpo":
        start = dpo_start(load_config(config, DpoConfig), adapter)
    else:
        start = reward_start(load_config(config, RewardConfig), adapter)
    print(json.dumps(start))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

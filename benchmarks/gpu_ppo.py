"""PPO on replies that are given, so that what is timed is all of a step but sampling and scoring.

Left out: TRL's PPO, whose step cannot be taken apart from its sampling (ppo.py measures it as a whole).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.flops import EpisodeLengths
from benchmarks.trainer_sides import SideRun
from training.configs import PpoConfig
from training.loop import run_steps
from training.online_parts import open_online
from training.packing import opening_tokens
from training.ppo import ppo_step
from training.precision import resolve_numbers
from training.rollouts import SampledReply
from training.run_folder import open_run_folder
from training.schedule import Plan
from training.scorers import FunctionScorer
from training.tokenising import load_tokenized_rows
from training.value import add_value_model

Tokens = tuple[int, ...]
# Scores that differ, at no cost: where all are alike, nothing is to be learnt.
VARIETY = FunctionScorer("variety", lambda rollout: len(set(rollout.text)) / 26)


class GivenReplies:
    """A sampler that looks each prompt's reply up."""

    def __init__(self, replies: Mapping[Tokens, Tokens]) -> None:
        self._replies = replies
        self._weights = ""

    def update(self, weights: str) -> None:
        self._weights = weights

    def sample(self, prompts: Sequence[Tokens], *, seed: int) -> list[SampledReply]:
        """One written long ago, whatever the seed and the weights."""
        return [SampledReply(self._replies[prompt], finished=True, weights=self._weights) for prompt in prompts]

    def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, slots=True)
class GivenRun:
    """When each step ended, and the episodes of all steps."""

    ends_s: tuple[float, ...]
    losses: tuple[float, ...]
    episodes: tuple[EpisodeLengths, ...]

    def side(self, peak_memory_bytes: int) -> SideRun:
        """As the other trainers' runs."""
        return SideRun(len(self.episodes), self.ends_s, self.losses, peak_memory_bytes)


def train_on_given_replies(config: PpoConfig) -> GivenRun:
    """One epoch over the rows' prompts, with the chosen reply of each as the policy's own."""
    numbers = resolve_numbers(config.precision)
    groups = [row.group for row in load_tokenized_rows(config, with_rejected=False).kept]
    given = GivenReplies({group.prompt: group.replies[0] for group in groups})
    with (
        open_run_folder(config, "ppo", numbers.precision) as folder,
        open_online(config, numbers, [VARIETY]) as (opened, _),
    ):
        online = replace(opened, sampler=given)
        critic = add_value_model(online.policy, config.seed)
        run_steps(
            config,
            {**online.policy_weights, **critic.weights()},
            folder,
            Plan(len(online.prompts), config.prompts_per_step, config.epochs, config.seed),
            kept=online.kept,
            take_step=partial(ppo_step, online, config, critic, ()),
        )
        steps = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    ends_s, losses = (tuple(step[name] for step in steps) for name in ("seconds", "policy_loss"))
    # Counted as if it were never computed, whatever batches it stood in: the machine's speed is not flattered.
    shared = opening_tokens(groups)
    return GivenRun(ends_s, losses, tuple(EpisodeLengths(len(g.prompt), len(g.replies[0]), shared) for g in groups))

"""Limits of PPO and RLOO on the tiny model: a policy that collapses is stopped, and one from before is saved."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.configs import OnlineConfig, PpoConfig, RlooConfig
from training.monitors import distinct_n
from training.rollouts import Rollout
from training.scorers import FunctionScorer

from .test_online import TRAIN, config, steps


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_replies_that_collapse_stop_the_run(tmp_path: Path, sharp: Path, kind: type[OnlineConfig]):
    """The score is the share of small letters: the nearer to it, the fewer different pairs there are."""
    replies: list[tuple[int, ...]] = []

    def letters(rollout: Rollout) -> float:
        replies.append(rollout.reply.tokens)
        return sum("a" <= letter <= "z" for letter in rollout.text) / 4

    changes = {"epochs": 12, "passes": 2, "minibatches": 2, "seed": 2}
    free = config(tmp_path / "free", sharp, kind, **changes)
    result = TRAIN[kind](free, [FunctionScorer("letters", letters)])
    lines = steps(free.output)
    assert result["stopped"] is None and result["adapter_step"] == 12
    shares = [distinct_n(replies[64 * number : 64 * (number + 1)], 2) for number in range(12)]
    assert [line["distinct_2"] for line in lines] == shares
    assert {line["refusal_rate"] for line in lines} == {0.0} and lines[0]["length_ratio"] == 1.0
    # The last step with a smaller share than all before it.
    broken = max(number for number in range(1, 13) if shares[number - 1] < min(shares[: number - 1], default=2.0))
    assert broken > 2  # a checkpoint is there two steps before
    limit = (shares[broken - 1] + min(shares[: broken - 1])) / 2

    held = config(tmp_path / "held", sharp, kind, **changes, min_distinct_2=limit)
    result = TRAIN[kind](held, [FunctionScorer("letters", letters)])
    assert result["stopped"] == {
        "metric": "distinct_2",
        "value": shares[broken - 1],
        "limit": limit,
        "step": broken,
    }
    # The replies of a step were written before its update: those of the checkpoint two steps before are the last good.
    assert (result["steps"], result["adapter_step"]) == (broken, broken - 2)
    assert steps(held.output) == lines[:broken]
    saved = load_file(held.output / "adapter/adapter_model.safetensors")
    kept = load_file(held.output / f"checkpoints/step-{broken - 2:08d}/state.safetensors")
    for name, weight in saved.items():
        first, last = name.rsplit(".", 1)
        assert torch.equal(weight, kept[f"weight.{first}.default.{last}"])

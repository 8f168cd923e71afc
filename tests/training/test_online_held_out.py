"""Patience of PPO and RLOO: held-out prompts are answered and scored, and the best checkpoint is kept."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from judges.records import Abstention, Prompt
from training.configs import OnlineConfig, PpoConfig, RlooConfig
from training.errors import TrainingError
from training.held_out import held_out_prompts
from training.online_held_out import error_of_means, watched_scores
from training.online_parts import load_prompts
from training.rloo import train_rloo
from training.rollouts import OnlinePrompt, Rollout, SampledReply
from training.scorers import ScoredRollout
from training.tokenising import load_tokenizer

from .test_online import LETTERS, TRAIN, Interrupted, config, steps


class TwoFaced:
    """Small letters are good in the replies to train on, and bad on held-out prompts; fails after `most` questions."""

    name = "letters"

    def __init__(self, held_out: frozenset[str], most: int = 1000) -> None:
        self._held_out = held_out
        self._left = most

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float]:
        self._left -= 1
        if self._left < 0:
            raise Interrupted
        apart = {one.asked.prompt.id in self._held_out for one in rollouts}
        assert len(apart) == 1, "a step mixes prompts to train on with held-out ones"
        share = LETTERS.scores(rollouts)
        return [1 - one for one in share] if apart == {True} else share


def drawn(wanted: OnlineConfig) -> frozenset[str]:
    """The ids of the held-out prompts."""
    prompts, _ = load_prompts(wanted, load_tokenizer(wanted.model))
    tokens = held_out_prompts((one.tokens for one in prompts), wanted)
    return frozenset(one.prompt.id for one in prompts if one.tokens in tokens)


def test_patience_keeps_the_best_checkpoint_and_resumes(tmp_path: Path, sharp: Path):
    changes = {"epochs": 20, "passes": 2, "minibatches": 2, "held_out_share": 0.25, "patience": 2}
    whole = config(tmp_path / "whole", sharp, RlooConfig, **changes)
    held_out = drawn(whole)
    assert len(held_out) == 2
    result = train_rloo(whole, [TwoFaced(held_out)])
    lines = steps(whole.output)
    scores = [line["held_out_score"] for line in lines]
    best = max(range(len(scores)), key=scores.__getitem__)
    assert result["stopped"]["metric"] == "held_out_score" and result["steps"] == len(lines) < 20
    assert result["adapter_step"] == best + 1 < len(lines)
    # The same weights, asked in the same draw, score the same.
    assert result["held_out"]["prompts"] == 2 and result["held_out"]["held_out_score"] == scores[best]
    assert lines[-1]["held_out_kl"] > lines[0]["held_out_kl"] and result["rows"] == 6

    halves = config(tmp_path / "halves", sharp, RlooConfig, **changes)
    with pytest.raises(Interrupted):
        train_rloo(halves, [TwoFaced(held_out, most=3)])  # after the second step's training, before its measure
    assert len(steps(halves.output)) == 1
    assert train_rloo(halves, [TwoFaced(held_out)])["stopped"] == result["stopped"]
    assert steps(halves.output) == lines
    one, other = (load_file(c.output / "adapter/adapter_model.safetensors") for c in (whole, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_a_share_without_patience_is_measured_once_at_the_end(tmp_path: Path, tiny: Path, kind: type[OnlineConfig]):
    wanted = config(tmp_path, tiny, kind, epochs=1, replies_per_prompt=2, held_out_share=0.25)
    result = TRAIN[kind](wanted, [LETTERS])
    assert not any("held_out_score" in line for line in steps(wanted.output))
    assert result["held_out"].keys() == {
        "prompts", "held_out_score", "held_out_score_letters", "held_out_error", "held_out_kl", "held_out_abstained",
    }  # fmt: skip
    with pytest.raises(TrainingError, match=r"held_out_share 0.05 of 8 prompts is none, and patience looks at them"):
        changes = {"held_out_share": 0.05, "patience": 1}
        TRAIN[kind](config(tmp_path / "few", tiny, kind, **changes), [LETTERS])


NO_SMALL_LETTER = """
name: law
version: "1"
description: d
principles:
  - {id: capital, kind: checked, text: No small letter., check: {forbids_pattern: "[a-z]"}}
"""


def test_what_does_not_train_watches_and_stops_a_policy_that_games_what_does(tmp_path: Path, sharp: Path):
    """Small letters train; a check of weight 0 wants none of them."""
    (tmp_path / "law.yaml").write_text(NO_SMALL_LETTER)
    changes = {"epochs": 16, "passes": 2, "minibatches": 2, "held_out_share": 0.5, "patience": 2}
    wanted = config(tmp_path, sharp, RlooConfig, constitution=str(tmp_path / "law.yaml"), check_weight=0.0, **changes)
    result = train_rloo(wanted, [LETTERS])
    lines = steps(wanted.output)
    assert result["stopped"]["metric"] == "held_out_score" and result["adapter_step"] < len(lines) < 16
    assert all(line["held_out_score"] == line["held_out_score_checks"] for line in lines)
    assert lines[-1]["held_out_score_letters"] > lines[0]["held_out_score_letters"]
    assert lines[-1]["held_out_score"] < lines[0]["held_out_score"] - 0.2


def test_what_watches_is_the_mean_of_the_scores_of_weight_0_where_all_answered():
    prompt = OnlinePrompt(Prompt("p", ()), ())
    rollout = Rollout(prompt, SampledReply((1,), True, "w"), "a")
    parts = [
        (("own", 9.0), ("judge", 0.5), ("gold", 1.0)),
        (("own", 9.0), ("judge", 0.5)),
        (("gold", 0.0), ("judge", 0.0)),
    ]
    replies = [ScoredRollout(rollout, 9.0, one) for one in parts]
    assert watched_scores([replies[:2], replies[2:], replies[1:2]], {"judge", "gold"}) == [[0.75], [0.0], []]


class Silent:
    """Cannot score the replies to one of the held-out prompts."""

    name = "letters"

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float | Abstention]:
        silent = Abstention("timed_out", "")
        both = zip(rollouts, LETTERS.scores(rollouts), strict=True)
        return [silent if one.asked.prompt.id == self._prompt else score for one, score in both]


def test_a_mean_over_fewer_prompts_than_before_is_none(tmp_path: Path, tiny: Path):
    wanted = config(tmp_path, tiny, RlooConfig, epochs=1, replies_per_prompt=2, held_out_share=0.25, patience=1)
    result = train_rloo(wanted, [Silent(min(drawn(wanted)))])
    assert result["stopped"] is None and result["held_out"]["held_out_abstained"] == 2
    assert "held_out_score" not in result["held_out"] and "held_out_kl" in result["held_out"]


def test_the_error_is_of_the_replies_and_not_of_the_prompts():
    """Variances 0.5 and 0 with one degree of freedom each: 0.25 a reply, 0.125 a prompt of two, 0.25 over 4 of the mean
    of two prompts."""
    assert error_of_means([[0.0, 1.0], [0.5, 0.5]]) == pytest.approx(0.25)
    assert error_of_means([[0.0, 1.0], [7.0]]) == pytest.approx((0.5 / 2 + 0.5) ** 0.5 / 2)

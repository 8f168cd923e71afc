"""A reward model's pass over the layers below the adapters serves the policy's passes over the same replies."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from judges.records import Prompt
from training.configs import DpoConfig, RewardConfig, config_from
from training.known_trunks import KnownTrunks, known_trunks
from training.model import Policy, load_policy
from training.online_run import joined_trunks
from training.packing import TokenGroup, pack_groups
from training.precision import resolve_numbers
from training.reward import train_reward
from training.reward_scorer import RewardModelScorer
from training.rollouts import OnlinePrompt, Rollout, SampledReply
from training.rows import write_rows
from training.seen import base_batch
from training.tokenising import load_tokenizer
from training.turns import prompt_tokens, reply_tokens
from training.weights import model_sha256

from .test_reward import pairs


def left(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[None, :, None]


def test_a_reply_is_known_where_one_that_was_scored_begins_with_it():
    scored = [TokenGroup("0", (1, 2), ((7, 8, 9),)), TokenGroup("1", (1, 2), ((5, 6, 9),))]
    known = known_trunks(scored, [left(1, 2, 7, 8, 9), left(1, 2, 5, 6, 9)])

    def of(prompt: tuple[int, ...], *replies: tuple[int, ...]) -> Tensor | None:
        return known.of(TokenGroup("p", prompt, replies))

    # Its last token is no input of the policy's: it may be another.
    assert torch.equal(of((1, 2), (7, 8, 4)), left(1, 2, 7, 8))
    assert torch.equal(of((1, 2), (5, 6, 9, 4), (7, 4), (3,)), left(1, 2, 5, 6, 9, 7))
    assert of((1, 2), (7, 8, 4), (7, 5, 4)) is None  # tokenized otherwise when it was scored
    assert of((1, 2), (7, 8, 9, 9, 9)) is None  # longer
    assert of((1,), (7, 8)) is None and KnownTrunks().of(scored[0]) is None


def scored(tmp_path: Path, tiny: Path, share: float) -> tuple[Policy, list[TokenGroup]]:
    """A policy with its adapter on the upper layer, after a reward model has scored two replies; their tokens."""
    write_rows(tmp_path / "rows.jsonl", pairs(8))
    values = {
        "model": str(tiny), "rows": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "rm"), "epochs": 1,
        "precision": "fp32", "learning_rate": 0.01, "lora_layers_share": share,
    }  # fmt: skip
    train_reward(config_from(values, RewardConfig, "test"))
    policy_config = DpoConfig(model=tiny, rows=Path("rows"), output=Path("out"), lora_layers_share=0.5)
    policy, tokenizer = load_policy(policy_config, resolve_numbers("fp32")), load_tokenizer(tiny)
    with torch.no_grad():
        for weight in policy.adapter_weights().values():
            weight.add_(0.05)
    scorer = RewardModelScorer(tmp_path / "rm", model_sha256(tiny), policy, tokenizer, tokens_per_batch=60)
    messages = pairs(1)[0].prompt
    prompt = prompt_tokens(messages, tokenizer, "here")
    replies = {text: reply_tokens(text, tokenizer) for text in ("abc", "zz and more")}
    asked = OnlinePrompt(Prompt("p", messages), prompt)
    scorer.scores([Rollout(asked, SampledReply(tokens, True, "w"), text) for text, tokens in replies.items()])
    return policy, [TokenGroup("two", prompt, tuple(replies.values())), TokenGroup("p", prompt, (replies["abc"],))]


def test_the_policy_begins_where_the_reward_model_left_the_base(tmp_path: Path, tiny: Path):
    policy, groups = scored(tmp_path, tiny, 0.5)
    packed = pack_groups(groups, policy.numbers.dtype, policy.numbers.device)
    known_1TH = joined_trunks(packed, [policy.trunk.known.of(group) for group in groups])
    assert known_1TH is not None and known_1TH.shape[1] == len(packed.tokens_T)
    calls: list[int] = []
    policy.causal.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    found = base_batch(policy, groups, packed, known_1TH)
    assert not calls
    for own, expected in zip(found, base_batch(policy, groups, packed, None), strict=True):
        for one, other in zip(own, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert len(calls) == 1


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_nothing_is_known_from_a_reward_model_that_adapts_the_lower_layers_too(
    tmp_path: Path, tiny: Path, share: float
):
    policy, groups = scored(tmp_path, tiny, share)
    assert (policy.trunk.known.of(groups[0]) is None) is (share == 1.0)

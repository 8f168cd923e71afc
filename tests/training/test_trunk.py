"""LoRA on the last layers only: the layers below run once for policy and reference, and nothing else changes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from training.configs import DpoConfig
from training.errors import TrainingError
from training.model import Policy, load_policy, reply_logps
from training.packing import TokenGroup, pack_groups
from training.precision import Numbers
from training.trunk import Trunk, decoder_layers

CPU = torch.device("cpu")
GROUPS = [TokenGroup("r", (7, 8, 9), ((10, 2), (11, 12, 2)))]


@pytest.fixture
def config(tiny: Path) -> DpoConfig:
    return DpoConfig(model=tiny, rows=Path("rows"), output=Path("out"), lora_rank=4, lora_layers_share=0.5)


@pytest.fixture
def policy(config: DpoConfig) -> Policy:
    policy = load_policy(config, Numbers(CPU, "fp32"))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.adapter_weights().values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return policy


def calls_of_the_first_layer(policy: Policy) -> list[int]:
    """Grows by one with each pass that the first layer's attention computes."""
    calls: list[int] = []
    policy.causal.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    return calls


def logps_and_gradients(policy: Policy) -> list[torch.Tensor]:
    logps = reply_logps(policy, pack_groups(GROUPS, torch.float32, CPU))
    return [logps.detach(), *torch.autograd.grad(logps[0] - logps[1], list(policy.adapter_weights().values()))]


def test_only_the_last_layers_are_adapted(policy: Policy):
    names = list(policy.adapter_weights())
    assert names and all(".layers.1." in name for name in names)
    assert policy.model.peft_config["default"].layers_to_transform == [1]


def test_the_trunk_runs_once_and_logps_and_gradients_are_the_same(policy: Policy):
    expected = logps_and_gradients(policy)
    calls = calls_of_the_first_layer(policy)
    with policy.as_reference(), policy.trunk.keeping():
        reference = reply_logps(policy, pack_groups(GROUPS, torch.float32, CPU))
    with policy.trunk.replaying():
        found = logps_and_gradients(policy)
    assert len(calls) == 1
    assert not torch.equal(reference, found[0])  # the adapter was on above the trunk
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


def test_what_was_kept_is_given_once(policy: Policy):
    calls = calls_of_the_first_layer(policy)
    with policy.as_reference(), policy.trunk.keeping():
        reply_logps(policy, pack_groups(GROUPS, torch.float32, CPU))
    for _ in range(2):
        with policy.trunk.replaying():
            logps_and_gradients(policy)
    logps_and_gradients(policy)
    assert len(calls) == 3


@pytest.mark.parametrize("place", ["keeping", "replaying"])
def test_an_error_leaves_nothing_to_replay(policy: Policy, place: str):
    with policy.as_reference(), policy.trunk.keeping():
        reply_logps(policy, pack_groups(GROUPS, torch.float32, CPU))
    with pytest.raises(KeyError), getattr(policy.trunk, place)():
        reply_logps(policy, pack_groups(GROUPS, torch.float32, CPU))
        raise KeyError
    calls = calls_of_the_first_layer(policy)
    with policy.trunk.replaying():
        reply_logps(policy, pack_groups(GROUPS, torch.float32, CPU))
    assert len(calls) == 1


def test_recomputing_gives_the_same(config: DpoConfig, policy: Policy):
    again = load_policy(replace(config, gradient_checkpointing=True), Numbers(CPU, "fp32"))
    with torch.no_grad():
        for name, weight in again.adapter_weights().items():
            weight.copy_(policy.adapter_weights()[name])
    with again.as_reference(), again.trunk.keeping():
        reply_logps(again, pack_groups(GROUPS, torch.float32, CPU))
    with again.trunk.replaying():
        found = logps_and_gradients(again)
    for one, other in zip(logps_and_gradients(policy), found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("share", "adapted"), [(0.01, {1}), (0.5, {1}), (0.51, {0, 1}), (1.0, {0, 1})])
def test_the_share_is_rounded_up(config: DpoConfig, share: float, adapted: set[int]):
    policy = load_policy(replace(config, lora_layers_share=share), Numbers(CPU, "fp32"))
    names = policy.adapter_weights()
    assert {layer for layer in (0, 1) if any(f".layers.{layer}." in name for name in names)} == adapted
    assert len(policy.trunk.layers) == 2 - len(adapted)


def test_a_model_without_one_list_of_layers_is_refused(policy: Policy):
    policy.causal.model.others = nn.ModuleList([nn.Identity(), nn.Identity()])
    with pytest.raises(TrainingError, match="not one list; leave it 1"):
        decoder_layers(policy.causal)


def test_layers_that_hand_on_more_than_hidden_states_are_refused(policy: Policy):
    class Pair(nn.Module):
        def forward(self, hidden_states, **_):
            return hidden_states, None

    trunk = Trunk([Pair()])
    with trunk.keeping(), pytest.raises(TrainingError, match="more than hidden states; leave it 1"):
        trunk.layers[0](torch.zeros(1))

"""The last layer computes its MLP where a hidden state is read, and nothing else changes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.configs import DpoConfig
from training.model import Policy, hidden_states, load_policy
from training.packing import TokenGroup, pack_groups
from training.precision import Numbers
from training.scores import pack_finished

CPU = torch.device("cpu")
# 3 tokens of prompt, of which the last is read for both replies, and 2 and 1 of the replies that another follows.
GROUPS = [TokenGroup("r", (7, 8, 9), ((10, 11, 2), (12, 2)))]


@pytest.fixture
def policy(tiny: Path) -> Policy:
    return load_policy(DpoConfig(model=tiny, rows=Path("rows"), output=Path("out")), Numbers(CPU, "fp32"))


def rows_of_mlps(policy: Policy) -> list[int]:
    """How many tokens went through each layer's MLP, pass by pass."""
    rows: list[int] = []
    for layer in policy.causal.model.layers:
        layer.mlp.up_proj.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[1]))
    return rows


def test_the_last_mlp_sees_what_is_read(policy: Policy):
    rows = rows_of_mlps(policy)
    hidden_states(policy, pack_groups(GROUPS, torch.float32, CPU))
    hidden_states(policy, pack_finished(policy, GROUPS))
    assert rows == [6, 4, 8, 2]


def test_a_plain_pass_computes_all(policy: Policy):
    rows = rows_of_mlps(policy)
    with torch.no_grad():
        policy.causal(input_ids=torch.tensor([[7, 8, 9]]), use_cache=False)
    assert rows == [3, 3]


@pytest.mark.parametrize("recompute", [False, True])
def test_hidden_states_and_gradients_are_those_of_the_whole_layer(tiny: Path, recompute: bool):
    config = DpoConfig(model=tiny, rows=Path("rows"), output=Path("out"), gradient_checkpointing=recompute)

    def found(whole: bool) -> list[Tensor]:
        policy = load_policy(config, Numbers(CPU, "fp32"))
        weights = list(policy.adapter_weights().values())
        with torch.no_grad():
            for number, weight in enumerate(weights):
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
        if whole:
            last = policy.causal.model.layers[-1]
            del last.forward, last.mlp.forward  # what the class has
        hidden_NH = hidden_states(policy, pack_groups(GROUPS, torch.float32, CPU))
        return [hidden_NH.detach(), *torch.autograd.grad(hidden_NH.square().sum(), weights)]

    for one, other in zip(found(whole=False), found(whole=True), strict=True):
        torch.testing.assert_close(one, other)

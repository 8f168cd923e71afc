"""The value model of PPO: an adapter and a head of its own on the policy's base. No second copy of the base."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.model import Policy, hidden_states
from training.packing import PackedGroups

_ADAPTER = "value"


@dataclass(frozen=True, slots=True)
class ValueModel:
    """What the policy's rewards will sum up to, told at each token before it is written."""

    policy: Policy
    head: nn.Linear

    def weights(self) -> dict[str, nn.Parameter]:
        """The trainable tensors by name, in a fixed order."""
        adapter = {name: w for name, w in self.policy.model.named_parameters() if f".{_ADAPTER}." in name}
        return adapter | {f"value_head.{name}": w for name, w in self.head.named_parameters()}

    @contextlib.contextmanager
    def switched_on(self) -> Iterator[None]:
        """Its adapter instead of the policy's; backward passes belong inside too."""
        with self.policy.with_adapter(_ADAPTER):
            yield

    def values(self, packed: PackedGroups, trunk_1TH: Tensor | None) -> Tensor:
        """One value a reply token (N), in fp32, while it is switched on; from the trunk's hidden states where given."""
        with self.policy.trunk.replaying(trunk_1TH):
            hidden_NH = hidden_states(self.policy, packed)
        values_N1: Tensor = self.head(hidden_NH.float())
        return values_N1[:, 0]


def add_value_model(policy: Policy, seed: int) -> ValueModel:
    """A fresh adapter of the policy's shape, and a head of zeros: at the start every value is 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        policy.model.add_adapter(_ADAPTER, copy.copy(policy.model.peft_config["default"]))
    width = policy.causal.get_output_embeddings().weight.shape[1]
    head = nn.Linear(width, 1, device=policy.numbers.device, dtype=torch.float32)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return ValueModel(policy, head)

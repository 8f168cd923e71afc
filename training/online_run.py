"""What every step of PPO and RLOO works with, and how its groups become batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.configs import OnlineConfig
from training.first_batch import FirstBatch
from training.model import Policy
from training.packing import PackedGroups, TokenGroup, pack_groups, split_by_tokens
from training.rollouts import OnlinePrompt, Sampler
from training.schedule import Plan
from training.scorers import WeightedScorer


@dataclass(frozen=True, slots=True)
class Online:
    """What every step works with. `kl_weight_1` is a number that moves beside the weights, `first_length_1` the mean
    length of the first step's replies (NaN before it); checkpoints keep both, `kept`. `held_out` are the prompts that
    are measured and never trained on."""

    config: OnlineConfig
    policy: Policy
    tokenizer: PreTrainedTokenizerBase
    prompts: Sequence[OnlinePrompt]
    held_out: Sequence[OnlinePrompt]
    sampler: Sampler
    scorers: Sequence[WeightedScorer]
    kl_weight_1: Tensor
    policy_weights: Mapping[str, nn.Parameter]
    first_batch: FirstBatch = field(default_factory=FirstBatch)
    first_length_1: Tensor = field(default_factory=lambda: torch.full((1,), float("nan"), dtype=torch.float64))

    @property
    def kept(self) -> dict[str, Tensor]:
        """What checkpoints keep beside the weights."""
        return {"kl_weight": self.kl_weight_1, "first_length": self.first_length_1}

    @property
    def plan(self) -> Plan:
        """Which prompts belong to which step. Each counts as long as its replies can become."""
        config = self.config
        replies = config.replies_per_prompt * config.reply_tokens
        tokens = tuple(len(one.tokens) + replies for one in self.prompts)
        return Plan(len(self.prompts), config.prompts_per_step, config.epochs, config.seed, tokens)


def packed_batches(online: Online, groups: Sequence[TokenGroup]) -> Iterator[tuple[PackedGroups, slice]]:
    """The groups in batches of `tokens_per_batch`, packed, and where each batch stands among them."""
    start = 0
    for batch in split_by_tokens(groups, online.config.tokens_per_batch):
        packed = pack_groups(batch, online.policy.numbers.dtype, online.policy.numbers.device)
        yield packed, slice(start, start + len(batch))
        start += len(batch)


def batches_after(
    online: Online, groups: Sequence[TokenGroup], first: int
) -> Iterator[tuple[PackedGroups, slice, bool]]:
    """The first so many groups as one batch (True), then the others."""
    for low, high in ((0, first), (first, len(groups))):
        for packed, place in packed_batches(online, groups[low:high]):
            yield packed, slice(low + place.start, low + place.stop), low < first


def joined_trunks(packed: PackedGroups, trunks: Sequence[Tensor | None]) -> Tensor | None:
    """What the packed groups' tokens are above the trunk, of what each group's are; None where there is no trunk."""
    kept = [one for one in trunks if one is not None]
    return packed.joined(kept) if kept else None

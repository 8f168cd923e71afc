"""Samples in the trainer's own process, with transformers' generation: no second copy of the weights, no server."""

from collections.abc import Sequence

import torch
from transformers import GenerationConfig

from training import attention
from training.model import Policy
from training.rollouts import SampledReply

# Prompts of different lengths are padded to the longest of a batch, so a batch is not larger than it must be.
_PROMPTS_AT_ONCE = 64


class TorchSampler:
    """The policy itself writes, up to one of `ends`. The same seed gives the same replies on one machine."""

    def __init__(self, policy: Policy, *, reply_tokens: int, ends: tuple[int, ...]) -> None:
        self._policy = policy
        self._ends = ends
        self._settings = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=reply_tokens,
            eos_token_id=list(ends),
            pad_token_id=ends[0],
        )
        self._weights = ""
        # A repetition penalty or the like that the model ships would go in where ours says nothing.
        policy.causal.generation_config = GenerationConfig()

    def update(self, weights: str) -> None:
        """The weights are the policy's own: only their name is new."""
        self._weights = weights

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        """Prompts of like length go together; the answers come in the order of `prompts`."""
        causal = self._policy.causal
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        found: dict[int, SampledReply] = {}
        training = causal.training
        causal.eval()  # gradient checkpointing, on in train mode only, drops the cache
        causal.set_attn_implementation("sdpa")  # ours knows no cache
        try:
            with torch.no_grad(), torch.random.fork_rng():
                torch.manual_seed(seed)
                for start in range(0, len(order), _PROMPTS_AT_ONCE):
                    picked = order[start : start + _PROMPTS_AT_ONCE]
                    replies = self._batch([prompts[number] for number in picked])
                    found |= dict(zip(picked, replies, strict=True))
        finally:
            causal.set_attn_implementation(attention.NAME)
            causal.train(training)
        return [found[number] for number in range(len(prompts))]

    def close(self) -> None:
        """Nothing was started."""

    def _batch(self, prompts: Sequence[tuple[int, ...]]) -> list[SampledReply]:
        longest = max(map(len, prompts))
        device = self._policy.numbers.device
        ids_BT = torch.tensor(
            [(self._ends[0],) * (longest - len(prompt)) + prompt for prompt in prompts], device=device
        )
        real_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
        out_BT = self._policy.causal.generate(
            input_ids=ids_BT, attention_mask=real_BT, generation_config=self._settings
        )
        return [self._cut(row) for row in out_BT[:, longest:].tolist()]

    def _cut(self, tokens: list[int]) -> SampledReply:
        last = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        own = tokens if last is None else tokens[: last + 1]
        return SampledReply(tuple(own), last is not None, self._weights)

"""Samples in the trainer's own process: no second copy of the weights, no server.

Prompts go through the model in the packed layout, each different one once, and then a token at a time for all replies
of a batch. Left out: any change of the distribution (temperature, top-p, penalties), also those that the model ships.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from training.errors import LostReply, TrainingError
from training.kept_keys import KeptKeys
from training.logps import token_logps
from training.model import LAYOUT_TOLERANCE, Policy, hidden_states, reply_token_logps
from training.packing import TokenGroup, pack_groups
from training.rollouts import SampledReply

# A token that is only read takes less than a quarter of the memory of one that is learnt from.
_READ_TOKENS = 4
# So many of a prompt and of its reply show whether what is kept of the tokens before is read rightly.
_CHECKED_PROMPT_TOKENS, _CHECKED_REPLY_TOKENS = 8, 4


class TorchSampler:
    """The policy itself writes, up to one of `ends`. The same seed gives the same prompt the same replies on one
    machine, whichever others go with it.

    `tokens_per_batch` are those that may be learnt from at once: replies are written together as long as they and their
    prompts, each with as much room as the longest, take no more memory.
    """

    def __init__(self, policy: Policy, *, reply_tokens: int, ends: tuple[int, ...], tokens_per_batch: int) -> None:
        self._policy = policy
        self._reply_tokens = reply_tokens
        self._ends = ends
        self._tokens_at_once = _READ_TOKENS * tokens_per_batch
        self._weights = ""

    def update(self, weights: str) -> None:
        """The weights are the policy's own: only their name is new."""
        self._weights = weights

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        """Prompts of like length go together; the answers come in the order of `prompts`.

        Raises LostReply where the policy's probabilities are no numbers.
        """
        draws_PR = draws(prompts, self._reply_tokens, seed).to(self._policy.numbers.device)
        found: dict[int, SampledReply] = {}
        for picked in self._batches(prompts):
            with torch.no_grad():
                tokens_BR = self._batch([prompts[number] for number in picked], draws_PR[picked])
            found |= {number: self._cut(row) for number, row in zip(picked, tokens_BR.tolist(), strict=True)}
        return [found[number] for number in range(len(prompts))]

    def close(self) -> None:
        """Nothing was started."""

    def check(self, prompt: tuple[int, ...]) -> None:
        """Refuse a model that sees replies otherwise in the packed layout than it wrote them token by token.

        A few tokens are written to the prompt's first ones, a second time without the first, so that places differ.
        """
        policy, opening = self._policy, prompt[:_CHECKED_PROMPT_TOKENS]
        prompts = (opening, opening[1:] or opening)
        draws_BR = torch.full((2, min(self._reply_tokens, _CHECKED_REPLY_TOKENS)), 0.5, dtype=torch.float64)
        with torch.no_grad():
            head_VH = policy.causal.get_output_embeddings().weight
            steps = list(self._written(prompts, draws_BR.to(policy.numbers.device)))
            written_BR = torch.stack([token_logps(hidden_BH, head_VH, tokens_B) for tokens_B, hidden_BH in steps], 1)
            replies = torch.stack([tokens_B for tokens_B, _ in steps], dim=1).tolist()
            groups = [TokenGroup("", own, (tuple(reply),)) for own, reply in zip(prompts, replies, strict=True)]
            packed = pack_groups(groups, policy.numbers.dtype, policy.numbers.device)
            apart_BR = (reply_token_logps(policy, packed).view_as(written_BR) - written_BR).abs()
        apart = apart_BR.mean(1).max().item()
        if not apart <= LAYOUT_TOLERANCE[policy.numbers.dtype]:
            raise TrainingError(
                f"log-probabilities of replies written token by token are {apart:.3g} nats a token from those of the "
                "packed layout: the trainer cannot sample from this model; set sampler: vllm (ppo, rloo) or "
                "held_out_share: 0 (sft, dpo), or take another model"
            )

    def _batches(self, prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
        """The numbers of the prompts that go together, the shortest first."""
        batches: list[list[int]] = []
        for number in sorted(range(len(prompts)), key=lambda number: len(prompts[number])):
            tokens = len(prompts[number]) + self._reply_tokens
            if not batches or (len(batches[-1]) + 1) * tokens > self._tokens_at_once:
                batches.append([])
            batches[-1].append(number)
        return batches

    def _batch(self, prompts: Sequence[tuple[int, ...]], draws_BR: Tensor) -> Tensor:
        """The tokens of the replies; behind a reply's end they mean nothing."""
        ends_E = torch.tensor(self._ends, device=draws_BR.device)
        ended_B = torch.zeros(len(prompts), dtype=torch.bool, device=draws_BR.device)
        tokens: list[Tensor] = []
        for tokens_B, _ in self._written(prompts, draws_BR):
            tokens.append(tokens_B)
            ended_B |= torch.isin(tokens_B, ends_E)
            if bool(ended_B.all()):
                break
        return torch.stack(tokens, dim=1)

    def _written(self, prompts: Sequence[tuple[int, ...]], draws_BR: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The replies' tokens one after the other, B, each with what left the last layer before it, B x H."""
        policy = self._policy
        different = list(dict.fromkeys(prompts))
        # A reply of one token adds none to what goes in: the prompt's last one is read.
        groups = [TokenGroup("", prompt, (self._ends[:1],)) for prompt in different]
        packed = pack_groups(groups, policy.numbers.dtype, policy.numbers.device)
        of_prompt = [different.index(prompt) for prompt in prompts]
        kept = KeptKeys(packed, of_prompt, self._reply_tokens)
        hidden_BH = hidden_states(policy, packed, kept)[of_prompt]
        del packed  # its masks are the squares of the prompts
        for draws_B in draws_BR.T[:-1]:
            tokens_B = self._drawn(hidden_BH, draws_B, prompts)
            yield tokens_B, hidden_BH
            hidden_BH = self._after(tokens_B, kept)
        yield self._drawn(hidden_BH, draws_BR[:, -1], prompts), hidden_BH

    def _after(self, tokens_B: Tensor, kept: KeptKeys) -> Tensor:
        """What leaves the last layer at one more token of each reply, B x H."""
        positions_B = kept.lengthen()
        out = self._policy.causal.base_model(
            input_ids=tokens_B[None], position_ids=positions_B[None], use_cache=False, kept=kept
        )
        hidden_BH: Tensor = out.last_hidden_state[0]
        return hidden_BH

    def _drawn(self, hidden_BH: Tensor, draws_B: Tensor, prompts: Sequence[tuple[int, ...]]) -> Tensor:
        logits_BV = self._policy.causal.get_output_embeddings()(hidden_BH)
        p_BV = logits_BV.softmax(-1, dtype=torch.promote_types(logits_BV.dtype, torch.float32))
        # The first token up to which they sum to more than the draw: `multinomial` takes ten times as long.
        sums_BV = p_BV.double().cumsum(-1)
        lost_B = ~sums_BV[:, -1].isfinite()
        if bool(lost_B.any()):
            raise LostReply(prompts[int(lost_B.nonzero()[0])])
        tokens_B1 = torch.searchsorted(sums_BV, draws_B[:, None] * sums_BV[:, -1:], right=True)
        return tokens_B1[:, 0].clamp(max=p_BV.shape[1] - 1)

    def _cut(self, tokens: list[int]) -> SampledReply:
        last = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        own = tokens if last is None else tokens[: last + 1]
        return SampledReply(tuple(own), last is not None, self._weights)


def draws(prompts: Sequence[tuple[int, ...]], tokens: int, seed: int) -> Tensor:
    """A number from 0 to 1 for each token of each reply: a prompt's first reply has its own, its second others."""
    before: Counter[tuple[int, ...]] = Counter()
    found: list[Tensor] = []
    for prompt in prompts:
        digest = hashlib.sha256(f"{seed}/{prompt}/{before[prompt]}".encode()).digest()
        before[prompt] += 1
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        found.append(torch.rand(tokens, dtype=torch.float64, generator=generator))
    return torch.stack(found)

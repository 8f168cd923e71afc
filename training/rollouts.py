"""Replies that the policy writes while it learns, and what writes them: the interface of the samplers.

Left out: the samplers themselves (`torch_sampler.py` in this process, `engine_sampler.py` by vLLM).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn
from transformers import PreTrainedTokenizerBase

from judges.records import Prompt
from training.errors import LostNumber, LostReply, TrainingError


@dataclass(frozen=True, slots=True)
class OnlinePrompt:
    """A prompt as the model reads it, up to where its reply begins."""

    prompt: Prompt
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SampledReply:
    """Token ids, one that ends a turn last where the model `finished`. `weights` are those that made them.

    `logps` are the sampler's own log-probabilities of the tokens, nats; empty where it does not tell.
    """

    tokens: tuple[int, ...]
    finished: bool
    weights: str
    logps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """A reply to a prompt, and its text."""

    asked: OnlinePrompt
    reply: SampledReply
    text: str


class Sampler(Protocol):
    """Writes replies at temperature 1 from the whole distribution, so that they are the policy's own."""

    def update(self, weights: str) -> None:
        """From now on write with the policy's weights as they are; `weights` names them (`weights_name`)."""

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        """One reply to each prompt, in their order. Raises LostReply where there are no probabilities to draw from."""

    def close(self) -> None:
        """End what was started."""


def weights_name(weights: Mapping[str, nn.Parameter]) -> str:
    """The SHA-256 of the adapter's tensors: two adapters with one name are the same."""
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def sample_rollouts(
    sampler: Sampler, tokenizer: PreTrainedTokenizerBase, asked: Sequence[OnlinePrompt], weights: str, *, seed: int
) -> list[Rollout]:
    """A reply to each of these (a prompt may stand there several times), from the weights of that name.

    Raises TrainingError where a reply is of other weights: learning from it would be off the policy; LostNumber.
    """
    sampler.update(weights)
    try:
        replies = sampler.sample([one.tokens for one in asked], seed=seed)
    except LostReply as lost:
        id = next(one.prompt.id for one in asked if one.tokens == lost.prompt)
        raise LostNumber(f"prompt {id!r}: {lost}") from lost
    for one, reply in zip(asked, replies, strict=True):
        if reply.weights != weights:
            raise TrainingError(
                f"prompt {one.prompt.id!r}: its reply was made by the weights {reply.weights[:12]}, the policy is at "
                f"{weights[:12]}; the sampler did not take the new weights: start the run again"
            )
    said = [reply.tokens[:-1] if reply.finished else reply.tokens for reply in replies]
    texts = tokenizer.batch_decode(said, skip_special_tokens=True)
    return [Rollout(one, reply, text) for one, reply, text in zip(asked, replies, texts, strict=True)]

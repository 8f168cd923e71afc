"""Replies of one model to many prompts, in shards that are made once: for `sample` and for `evaluate`.

Every reply is a request of its own: `n` in one request would tie their fates together. Seeds are not sent (an engine
on CPU can die of one), so a shard made again would hold other texts; a finished shard is never made again.
"""

import asyncio
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import JsonValue

from judges.client import ChatClient
from judges.errors import PromptTooLong
from judges.gathering import all_of
from judges.records import Prompt, Sample
from judges.wire import ChatRequest
from service.errors import RunFailed
from service.pipeline.context import PROMPTS_PER_SHARD, RunContext
from service.pipeline.progress import Progress
from service.schemas import Stage
from service.shards import ensure_shard, shard_key

STAGE_VERSION = 1
# What a chat template adds to a message, in tokens, at most.
_TEMPLATE_TOKENS = 64
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampling:
    """Who answers, for which stage, how. `identity` names the weights, `limit_tokens` is the context of the model."""

    stage: Stage
    model: str
    identity: str
    replies_per_prompt: int
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    limit_tokens: int

    @property
    def request(self) -> ChatRequest:
        return ChatRequest(self.max_tokens, self.temperature, self.top_p)

    def key(self, prompts: Sequence[Prompt]) -> str:
        """The shard of these prompts."""
        return shard_key("samples", [STAGE_VERSION, self._matter(), [_matter(prompt) for prompt in prompts]])

    def sample_id(self, prompt: Prompt, index: int) -> str:
        text = repr((STAGE_VERSION, self._matter(), _matter(prompt), index))
        return "smp_" + hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:24]

    def _matter(self) -> list[JsonValue]:
        return [
            self.model,
            self.identity,
            self.replies_per_prompt,
            self.max_tokens,
            self.temperature,
            self.top_p,
            self.seed,
        ]


def groups_of(items: Sequence[T], size: int = PROMPTS_PER_SHARD) -> Iterator[tuple[T, ...]]:
    """In order, `size` at a time."""
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])


async def sample_replies(
    context: RunContext, client: ChatClient, prompts: Sequence[Prompt], sampling: Sampling, progress: Progress
) -> tuple[str, ...]:
    """The keys of the shards that hold every prompt's replies. Raises RunFailed for a prompt that does not fit."""
    await refuse_too_long(client, prompts, sampling)
    at_once = asyncio.Semaphore(context.shards_at_once)

    async def shard(group: tuple[Prompt, ...]) -> str:
        key = sampling.key(group)
        async with at_once:
            if await context.artifacts.exists(key):
                await progress.add(len(group) * sampling.replies_per_prompt, new=False)
            else:
                await ensure_shard(
                    context.artifacts, key, Sample, lambda: _group_replies(client, group, sampling, progress)
                )
        return key

    return await all_of(shard(group) for group in groups_of(prompts))


async def _group_replies(
    client: ChatClient, group: Sequence[Prompt], sampling: Sampling, progress: Progress
) -> tuple[Sample, ...]:
    indices = range(sampling.replies_per_prompt)
    return await all_of(
        _reply(client, prompt, i, sampling, progress) for prompt, i in itertools.product(group, indices)
    )


async def _reply(client: ChatClient, prompt: Prompt, index: int, sampling: Sampling, progress: Progress) -> Sample:
    reply = await client.chat(prompt.messages, request=sampling.request)
    await progress.add()
    return Sample(
        id=sampling.sample_id(prompt, index),
        prompt_id=prompt.id,
        index=index,
        reply=reply.text,
        finish_reason=reply.finish_reason,
        model=sampling.model,
        weights_sha256=sampling.identity,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )


async def refuse_too_long(client: ChatClient, prompts: Sequence[Prompt], sampling: Sampling) -> None:
    """Raise RunFailed for a prompt that does not fit.

    Each that may not fit is asked for once; a token is a byte at least, so most need not be.
    """
    suspects = [
        (number, prompt)
        for number, prompt in enumerate(prompts, start=1)
        if _most_tokens(prompt) + sampling.max_tokens > sampling.limit_tokens
    ]

    async def probe(number: int, prompt: Prompt) -> None:
        try:
            await client.chat(prompt.messages, request=sampling.request)
        except PromptTooLong as error:
            raise RunFailed(
                f"prompt {prompt.id!r} (number {number} of its split) does not fit: with a reply of "
                f"{sampling.max_tokens} tokens it exceeds the context ({error}); shorten it, or lower "
                f"{sampling.stage}.max_tokens"
            ) from error

    await all_of(probe(number, prompt) for number, prompt in suspects)


def _most_tokens(prompt: Prompt) -> int:
    return sum(len(m.content.encode("utf-8", errors="replace")) + _TEMPLATE_TOKENS for m in prompt.messages)


def _matter(prompt: Prompt) -> list[JsonValue]:
    return [prompt.id, [[m.role, m.content] for m in prompt.messages]]

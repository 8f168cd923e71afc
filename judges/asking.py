"""One verdict's requests: what is asked, what it costs, and how an answer that is none becomes an abstention.

A protocol (compare.py, judges/protocols) reads straight on as if every answer came; the first that does not ends its
order by `Unanswered`, which `outcome_of` turns into the abstention. A judge that is down, or refuses us, is an error.
Left out: the prompts, and what the answers mean.
"""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from constitutions.schema import JudgedPrinciple
from judges.choices import Choice, ChoiceReader, LabelShares, read_choice, read_labels
from judges.client import JudgeClient
from judges.errors import JudgeServerError, JudgeTimedOut, JudgeUnreadable, PromptTooLong
from judges.records import Abstention, Comparison, Message, PrincipleVerdict, Verdict
from judges.revisions import is_refusal
from judges.wire import ChatReply, ChatRequest

DEFAULT_READER = ChoiceReader()
T = TypeVar("T")


class Unanswered(Exception):
    """An answer that cannot be used, on its way to `outcome_of`; it is no fault, and nothing else catches it."""

    def __init__(self, abstention: Abstention) -> None:
        self.abstention = abstention
        super().__init__(abstention.cause)


async def outcome_of(work: Awaitable[T]) -> T | Abstention:
    """The result, or the abstention where an answer could not be used."""
    try:
        return await work
    except Unanswered as unanswered:
        return unanswered.abstention


def _used(read: T | Abstention) -> T:
    """What was read. Raises Unanswered where it is no answer."""
    if isinstance(read, Abstention):
        raise Unanswered(read)
    return read


class Asking:
    """The requests of one verdict, sent to the replica that has their prompt's prefix, and their tokens so far."""

    def __init__(self, client: JudgeClient, prompt_id: str, reader: ChoiceReader = DEFAULT_READER) -> None:
        self.client = client
        self._affinity = prompt_id
        self._reader = reader
        self._prompt_tokens = 0
        self._completion_tokens = 0

    async def labels(self, messages: Sequence[Message], labels: tuple[str, ...]) -> LabelShares:
        """How one token, unconstrained, divides among the labels."""
        return _used(read_labels(await self._first_token(messages), labels, self._reader))

    async def choice(self, messages: Sequence[Message]) -> Choice:
        """How it divides between A and B."""
        return _used(read_choice(await self._first_token(messages), self._reader))

    async def text(self, messages: Sequence[Message], max_tokens: int, *, whole: bool = False) -> str:
        """What the judge writes at temperature 0, stripped; with `whole`, what `max_tokens` cut off is no answer."""
        reply = await self._reply(messages, ChatRequest(max_tokens, affinity=self._affinity))
        text = reply.text.strip()
        if not text:
            raise Unanswered(Abstention("empty", reply.text))
        if is_refusal(text):
            raise Unanswered(Abstention("refused", text))
        if whole and reply.finish_reason == "length":
            raise Unanswered(Abstention("truncated", text))
        return text

    async def reward(self, messages: Sequence[Message]) -> float:
        """A reward model's score of the last turn."""
        try:
            reply = await self.client.reward(messages, affinity=self._affinity)
        except (PromptTooLong, JudgeUnreadable, JudgeTimedOut, JudgeServerError) as error:
            raise Unanswered(abstention_for(error)) from error
        self._prompt_tokens += reply.prompt_tokens
        return reply.score

    def verdict(
        self, template_sha256: str, comparison: Comparison, principle: JudgedPrinciple, verdict: Verdict
    ) -> PrincipleVerdict:
        """The record of what came of it."""
        return PrincipleVerdict(
            comparison_id=comparison.id,
            prompt_id=comparison.prompt_id,
            principle_id=principle.id,
            kind="judged",
            judge=self.client.model,
            template_sha256=template_sha256,
            verdict=verdict,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
        )

    async def _first_token(self, messages: Sequence[Message]) -> ChatReply:
        request = ChatRequest(max_tokens=1, top_logprobs=self._reader.top_logprobs, affinity=self._affinity)
        return await self._reply(messages, request)

    async def _reply(self, messages: Sequence[Message], request: ChatRequest) -> ChatReply:
        try:
            reply = await self.client.chat(messages, request=request)
        except (PromptTooLong, JudgeUnreadable, JudgeTimedOut, JudgeServerError) as error:
            raise Unanswered(abstention_for(error)) from error
        self._prompt_tokens += reply.prompt_tokens
        self._completion_tokens += reply.completion_tokens
        return reply


def abstention_for(error: PromptTooLong | JudgeUnreadable | JudgeTimedOut | JudgeServerError) -> Abstention:
    """The abstention that one failed request leaves, where the judge itself is well."""
    if isinstance(error, PromptTooLong):
        return Abstention("too_long", str(error))
    if isinstance(error, JudgeUnreadable):
        return Abstention("unreadable", str(error))
    if isinstance(error, JudgeTimedOut):
        return Abstention("timed_out", str(error))
    return Abstention("server_error", str(error))

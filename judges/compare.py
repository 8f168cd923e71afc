"""Pairwise verdicts: two one-token requests, one for each order of the replies, averaged in logit space.

The prompt is laid out for vLLM's prefix cache: fixed instructions, the conversation, the two replies, then the
principle and the question last; send the requests for one prompt together. What a judge cannot answer is an
abstention. A judge that is down, or refuses us, is an error: no verdict should be made of that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from constitutions.schema import JudgedPrinciple
from judges.choices import Choice, ChoiceReader, logit, read_choice, sigmoid
from judges.client import ChatClient
from judges.errors import JudgeServerError, JudgeTimedOut, JudgeUnreadable, PromptTooLong
from judges.fence import escape, fence_mark, fenced
from judges.gathering import all_of
from judges.records import Abstention, Comparison, Conversation, Message, Preference, PrincipleVerdict
from judges.templates import load_template
from judges.wire import ChatRequest

DEFAULT_QUESTION = "Which reply follows this principle better?"
DEFAULT_READER = ChoiceReader()


async def compare(
    client: ChatClient, comparison: Comparison, principle: JudgedPrinciple, reader: ChoiceReader = DEFAULT_READER
) -> PrincipleVerdict:
    """One verdict on one pair under one principle."""
    ab, ba = await all_of(
        _ask(client, compare_prompt(comparison, principle, swapped=swapped), comparison.prompt_id, reader)
        for swapped in (False, True)
    )
    return PrincipleVerdict(
        comparison_id=comparison.id,
        prompt_id=comparison.prompt_id,
        principle_id=principle.id,
        kind="judged",
        judge=client.model,
        template_sha256=load_template("compare").sha256,
        verdict=average(ab.choice, ba.choice),
        prompt_tokens=ab.prompt_tokens + ba.prompt_tokens,
        completion_tokens=ab.completion_tokens + ba.completion_tokens,
    )


async def compare_all(
    client: ChatClient,
    comparisons: Iterable[Comparison],
    principles: Sequence[JudgedPrinciple],
    reader: ChoiceReader = DEFAULT_READER,
) -> tuple[PrincipleVerdict, ...]:
    """Every comparison under every principle, in that order; pass the comparisons of one prompt together."""
    return await all_of(compare(client, pair, principle, reader) for pair in comparisons for principle in principles)


def compare_prompt(comparison: Comparison, principle: JudgedPrinciple, *, swapped: bool) -> str:
    """The judge's prompt for one order. A reply's fence is its own: comparisons that show it first share it."""
    first, second = (comparison.b, comparison.a) if swapped else (comparison.a, comparison.b)
    return load_template("compare").render(
        conversation=fenced_conversation(comparison.messages),
        reply_a=fenced("reply A", first, fence_mark(first)),
        reply_b=fenced("reply B", second, fence_mark(second)),
        principle=escape(principle.text),
        question=escape(principle.compare or DEFAULT_QUESTION),
    )


def fenced_conversation(messages: Conversation) -> str:
    """The conversation as text in a fence of its own mark: all comparisons of one prompt share it."""
    text = "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in messages)
    return fenced("conversation", text, fence_mark(text))


def average(ab: Choice | Abstention, ba: Choice | Abstention) -> Preference | Abstention:
    """Both orders in logit space. `ab` was read with A shown first, `ba` with B shown first."""
    if isinstance(ab, Abstention):
        return ab
    if isinstance(ba, Abstention):
        return ba
    p_a_ab, p_a_ba = ab.p_first, 1 - ba.p_first
    p_a = sigmoid((logit(p_a_ab) + logit(p_a_ba)) / 2)
    return Preference(p_a, p_a_ab, p_a_ba, label_mass=min(ab.label_mass, ba.label_mass))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one order brought: a choice or an abstention, and its cost in tokens."""

    choice: Choice | Abstention
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def _ask(client: ChatClient, prompt: str, affinity: str, reader: ChoiceReader) -> _Answer:
    request = ChatRequest(max_tokens=1, top_logprobs=reader.top_logprobs, affinity=affinity)
    try:
        reply = await client.chat([Message("user", prompt)], request=request)
    except (PromptTooLong, JudgeUnreadable, JudgeTimedOut, JudgeServerError) as error:
        return _Answer(abstention_for(error))
    return _Answer(read_choice(reply, reader), reply.prompt_tokens, reply.completion_tokens)


def abstention_for(error: PromptTooLong | JudgeUnreadable | JudgeTimedOut | JudgeServerError) -> Abstention:
    """The abstention that one failed request leaves, where the judge itself is well."""
    if isinstance(error, PromptTooLong):
        return Abstention("too_long", str(error))
    if isinstance(error, JudgeUnreadable):
        return Abstention("unreadable", str(error))
    if isinstance(error, JudgeTimedOut):
        return Abstention("timed_out", str(error))
    return Abstention("server_error", str(error))

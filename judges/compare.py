"""Pairwise verdicts: two one-token requests, one for each order of the replies, averaged in logit space.

The prompt is laid out for vLLM's prefix cache: fixed instructions, the conversation, the two replies, then the
principle and the question last; send the requests for one prompt together. What a judge cannot answer is an
abstention. A judge that is down, or refuses us, is an error: no verdict should be made of that.
"""

from collections.abc import Awaitable, Callable

from constitutions.schema import JudgedPrinciple
from judges.asking import DEFAULT_READER, Asking, outcome_of
from judges.choices import Choice, ChoiceReader, logit, sigmoid
from judges.client import JudgeClient
from judges.fence import escape, fence_mark, fenced
from judges.gathering import all_of
from judges.records import Abstention, Comparison, Conversation, Message, Preference, PrincipleVerdict
from judges.templates import Template, load_template

DEFAULT_QUESTION = "Which reply follows this principle better?"


async def compare(
    client: JudgeClient,
    comparison: Comparison,
    principle: JudgedPrinciple,
    reader: ChoiceReader = DEFAULT_READER,
    template: Template | None = None,
) -> PrincipleVerdict:
    """One verdict on one pair under one principle, asked in our words or in those of `template`."""
    template = template or load_template("compare")
    asking = Asking(client, comparison.prompt_id, reader)

    async def ask(swapped: bool) -> Choice:
        prompt = pair_prompt(template, comparison, principle, swapped=swapped)
        return await asking.choice([Message("user", prompt)])

    return asking.verdict(template.sha256, comparison, principle, await both_orders(ask))


def compare_prompt(comparison: Comparison, principle: JudgedPrinciple, *, swapped: bool) -> str:
    """The judge's prompt for one order. A reply's fence is its own: comparisons that show it first share it."""
    return pair_prompt(load_template("compare"), comparison, principle, swapped=swapped)


def pair_prompt(
    template: Template, comparison: Comparison, principle: JudgedPrinciple, *, swapped: bool, **more: str
) -> str:
    """A template that shows two replies. `more` fills the fields that not every such template has."""
    first, second = (comparison.b, comparison.a) if swapped else (comparison.a, comparison.b)
    return template.fill(
        conversation=fenced_conversation(comparison.messages),
        reply_a=fenced("reply A", first, fence_mark(first)),
        reply_b=fenced("reply B", second, fence_mark(second)),
        principle=escape(principle.text),
        question=escape(principle.compare or DEFAULT_QUESTION),
        **more,
    )


def fenced_conversation(messages: Conversation) -> str:
    """The conversation as text in a fence of its own mark: all comparisons of one prompt share it."""
    text = "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in messages)
    return fenced("conversation", text, fence_mark(text))


async def both_orders(ask: Callable[[bool], Awaitable[Choice]]) -> Preference | Abstention:
    """`ask(swapped)` reads one order: A is shown first, or B where it is swapped."""
    ab, ba = await all_of(outcome_of(ask(swapped)) for swapped in (False, True))
    return average(ab, ba)


def average(ab: Choice | Abstention, ba: Choice | Abstention) -> Preference | Abstention:
    """Both orders in logit space. `ab` was read with A shown first, `ba` with B shown first."""
    if isinstance(ab, Abstention):
        return ab
    if isinstance(ba, Abstention):
        return ba
    p_a_ab, p_a_ba = ab.p_first, 1 - ba.p_first
    p_a = sigmoid((logit(p_a_ab) + logit(p_a_ba)) / 2)
    return Preference(p_a, p_a_ab, p_a_ba, label_mass=min(ab.label_mass, ba.label_mass))

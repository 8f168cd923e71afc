"""Critique, then revision: the chains of Constitutional AI (arXiv:2212.08073, section 3.1).

At each step one principle is drawn by a recorded seed, the judge says how the reply breaks it, and rewrites the reply.
A check that the reply already passes is not drawn; one that it fails is its own critic, so only the rewriting costs a
request. Every step is kept; a step that fails ends its chain with an abstention.
The reply stands as the assistant's own turn and we ask in the user's next one, as in that paper: the bundled 135M model
follows this form, and loses itself in fenced material. Control tokens are escaped. Left out: which replies are revised.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from constitutions.checks.registry import run_check
from constitutions.schema import CheckedPrinciple, JudgedPrinciple
from judges.asking import abstention_for
from judges.client import ChatClient
from judges.errors import JudgeServerError, JudgeTimedOut, JudgeUnreadable, PromptTooLong
from judges.fence import escape
from judges.records import Abstention, Message, Prompt, Revision, Sample
from judges.revisions import fault_of, strip_preamble
from judges.templates import load_template
from judges.wire import ChatReply, ChatRequest

DEFAULT_CRITIQUE = "In one or two short sentences, say how your last reply breaks this, or how it could be better."
DEFAULT_REVISE = "Rewrite your last reply so that it obeys this."
_CRITIQUE_TOKENS = 128


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """`steps` revisions in a row; the principle of each follows from `seed`, the sample and the step."""

    steps: int = 1
    seed: int = 0
    max_tokens: int = 512
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class ChainOutcome:
    """The steps that worked, and what ended the chain early, where something did."""

    revisions: tuple[Revision, ...]
    abstention: Abstention | None


async def revise_reply(
    client: ChatClient,
    prompt: Prompt,
    sample: Sample,
    principles: Sequence[JudgedPrinciple | CheckedPrinciple],
    settings: ChainSettings,
) -> ChainOutcome:
    """The chain of one sample. It ends early, without a fault, when no principle is left to draw."""
    revisions: list[Revision] = []
    reply = sample.reply
    for step in range(settings.steps):
        principle = draw_principle(prompt, reply, principles, f"{settings.seed}:{sample.id}:{step}")
        if principle is None:
            break
        try:
            outcome = await _step(client, prompt, reply, principle, settings)
        except (PromptTooLong, JudgeUnreadable, JudgeTimedOut, JudgeServerError) as error:
            outcome = abstention_for(error)
        if isinstance(outcome, Abstention):
            return ChainOutcome(tuple(revisions), outcome)
        revisions.append(_record(outcome, client.model, sample, step, principle.id))
        reply = outcome.after
    return ChainOutcome(tuple(revisions), None)


def draw_principle(
    prompt: Prompt, reply: str, principles: Sequence[JudgedPrinciple | CheckedPrinciple], key: str
) -> JudgedPrinciple | CheckedPrinciple | None:
    """One principle, each with the same chance; checks that the reply passes are left out. None where none is left."""
    open_ = [p for p in principles if isinstance(p, JudgedPrinciple) or not run_check(p, prompt.messages, reply).passed]
    return random.Random(key).choice(open_) if open_ else None


@dataclass(frozen=True, slots=True)
class _Step:
    critique: str
    before: str
    after: str
    prompt_tokens: int
    completion_tokens: int


async def _step(
    client: ChatClient,
    prompt: Prompt,
    reply: str,
    principle: JudgedPrinciple | CheckedPrinciple,
    settings: ChainSettings,
) -> _Step | Abstention:
    critic = await _criticise(client, prompt, reply, principle, settings)
    critique = critic.text.strip()
    if not critique:
        return Abstention("empty", "the critique was empty")
    request = principle.revise if isinstance(principle, JudgedPrinciple) and principle.revise else DEFAULT_REVISE
    text = load_template("revise").render(
        principle=escape(principle.text), critique=escape(critique), request=escape(request)
    )
    revised = await client.chat(
        [*_conversation(prompt, reply), Message("user", text)],
        request=ChatRequest(settings.max_tokens, settings.temperature, affinity=prompt.id),
    )
    after = strip_preamble(revised.text)
    return fault_of(revised, after, reply) or _Step(
        critique,
        before=reply,
        after=after,
        prompt_tokens=critic.prompt_tokens + revised.prompt_tokens,
        completion_tokens=critic.completion_tokens + revised.completion_tokens,
    )


async def _criticise(
    client: ChatClient,
    prompt: Prompt,
    reply: str,
    principle: JudgedPrinciple | CheckedPrinciple,
    settings: ChainSettings,
) -> ChatReply:
    if isinstance(principle, CheckedPrinciple):
        return ChatReply(run_check(principle, prompt.messages, reply).reason, "stop", 0, 0)
    text = load_template("critique").render(
        principle=escape(principle.text), request=escape(principle.critique or DEFAULT_CRITIQUE)
    )
    return await client.chat(
        [*_conversation(prompt, reply), Message("user", text)],
        request=ChatRequest(min(_CRITIQUE_TOKENS, settings.max_tokens), settings.temperature, affinity=prompt.id),
    )


def _conversation(prompt: Prompt, reply: str) -> list[Message]:
    turns = (*prompt.messages, Message("assistant", reply))
    return [Message(turn.role, escape(turn.content)) for turn in turns]


def _record(step: _Step, judge: str, sample: Sample, number: int, principle_id: str) -> Revision:
    key = "\0".join((sample.id, str(number), principle_id, judge))
    return Revision(
        id="rev_" + hashlib.sha256(key.encode()).hexdigest()[:24],
        prompt_id=sample.prompt_id,
        sample_id=sample.id,
        step=number,
        principle_id=principle_id,
        critique=step.critique,
        before=step.before,
        after=step.after,
        judge=judge,
        prompt_tokens=step.prompt_tokens,
        completion_tokens=step.completion_tokens,
    )

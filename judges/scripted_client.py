"""The scripted model without a server: a client that answers in this process, for runs of many verdicts and for tests.

Same answers as `judges.scripted`, except that every prompt counts as asked for the first time: nothing is remembered
between requests but their number. Left out: HTTP, latency and the behaviour's faults.
"""

from collections.abc import Sequence

from judges.behaviour import Behaviour
from judges.records import Message
from judges.scripted import request_kind, scripted_text
from judges.scripted_verdicts import reward_of
from judges.wire import ChatReply, ChatRequest, RewardReply

_PLAIN = Behaviour()


class ScriptedClient:
    """Implements `judges.client.JudgeClient`. `calls` counts the requests."""

    def __init__(self, behaviour: Behaviour = _PLAIN, model: str = "scripted") -> None:
        self._behaviour = behaviour
        self._model = model
        self.calls = 0

    @property
    def model(self) -> str:
        return self._model

    async def chat(self, messages: Sequence[Message], *, request: ChatRequest) -> ChatReply:
        self.calls += 1
        turns = [message.content for message in messages]
        text, tokens = scripted_text(request_kind(turns), turns, 0, self._behaviour)
        told = text.split(" ")
        cut = len(told) > request.max_tokens
        return ChatReply(
            text=" ".join(told[: request.max_tokens]),
            finish_reason="length" if cut or request.max_tokens == 1 else "stop",
            prompt_tokens=sum(len(turn.split()) for turn in turns),
            completion_tokens=min(len(told), request.max_tokens),
            first_token=tokens[: request.top_logprobs],
        )

    async def reward(self, messages: Sequence[Message], *, affinity: str = "") -> RewardReply:
        self.calls += 1
        score = reward_of(messages[-1].content, self._behaviour)
        return RewardReply(score, sum(len(message.content.split()) for message in messages))

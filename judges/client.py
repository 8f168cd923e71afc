"""The async client for any OpenAI-compatible chat server, or several that serve the same model.

Bounded concurrency per replica, retries with jitter that honour Retry-After, a deadline, failover, a second request
where a replica is late, a circuit breaker per replica, a cap on the size of an answer, and a token budget. Left out:
what the messages say (compare.py, critique.py, protocols/), streaming, and any field that wire.py does not write.
"""

import asyncio
import email.utils
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from judges.errors import (
    BudgetSpent,
    JudgeBusy,
    JudgeError,
    JudgeServerError,
    JudgeTimedOut,
    JudgeUnavailable,
    JudgeUnreadable,
)
from judges.places import Patience, Places
from judges.records import Message
from judges.replicas import Endpoint, Replica
from judges.wire import (
    ChatReply,
    ChatRequest,
    RewardReply,
    ServedModel,
    read_models,
    read_reply,
    read_reward,
    rejection,
    request_body,
    reward_body,
)

T = TypeVar("T")
MAX_ANSWER_BYTES = 10 * 1024 * 1024
_LONGEST_RETRY_AFTER_S = 60.0
_backoff = wait_random_exponential(multiplier=0.25, max=10.0)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How hard a judge is driven. Raise `concurrency` for a server with many GPUs; `deadline_s` ends all retries.

    `max_tokens_total` counts prompt and reply tokens; requests already in flight when it is reached still count.
    """

    concurrency: int = 64
    timeout_s: float = 120.0
    attempts: int = 4
    deadline_s: float = 600.0
    max_tokens_total: int | None = None


class JudgeClient(Protocol):
    """What the protocols ask a judge through: `ChatClient`, or `scripted_client.py` without any server."""

    @property
    def model(self) -> str: ...

    async def chat(self, messages: Sequence[Message], *, request: ChatRequest) -> ChatReply: ...

    async def reward(self, messages: Sequence[Message], *, affinity: str = "") -> RewardReply: ...


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """One request, whichever replica it goes to. Calls of as many `max_tokens` take about as long."""

    path: str
    affinity: str
    max_tokens: int
    write: Callable[[str], bytes]
    read: Callable[[bytes, str], T]


class ChatClient:
    """Asks one model, behind one or more endpoints. Use as an async context manager; safe for many tasks at once."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        settings: ClientSettings = ClientSettings(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not endpoints:
            raise JudgeUnavailable("no endpoint was given for the judge; name at least one URL or socket")
        self._replicas = [Replica(e, settings.concurrency, clock) for e in endpoints]
        self._places = Places(self._replicas)
        self._patience = Patience()
        self._hurried = 0
        self._clock = clock
        self._settings = settings
        self.tokens_spent = 0

    async def __aenter__(self) -> "ChatClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(r.close() for r in self._replicas))

    @property
    def model(self) -> str:
        """The judge's name, as verdicts record it."""
        return self._replicas[0].endpoint.model

    async def chat(self, messages: Sequence[Message], *, request: ChatRequest) -> ChatReply:
        """One reply. Raises a JudgeError once the attempts, the deadline or the budget are used up."""
        call = _Call(
            "/v1/chat/completions",
            request.affinity,
            request.max_tokens,
            lambda model: request_body(model, messages, request),
            lambda data, where: read_reply(data, where, logprobs=request.top_logprobs > 0),
        )
        reply = await self._post(call)
        self.tokens_spent += reply.prompt_tokens + reply.completion_tokens
        return reply

    async def reward(self, messages: Sequence[Message], *, affinity: str = "") -> RewardReply:
        """A reward model's score of a conversation's last turn; raises as `chat` does."""
        call = _Call("/classify", affinity, 0, lambda model: reward_body(model, messages), read_reward)
        reply = await self._post(call)
        self.tokens_spent += reply.prompt_tokens
        return reply

    async def _post(self, call: _Call[T]) -> T:
        """The answer of a replica, or of another where that failed."""
        failed: Replica | None = None
        async for attempt in self._attempts():
            with attempt:
                self._check_budget()
                async with self._places.place(call.affinity, avoid=failed) as replica:
                    failed = replica
                    reply = await self._answer_in_time(call, replica)
        return reply

    async def _answer_in_time(self, call: _Call[T], replica: Replica) -> T:
        """The replica's answer, or another's where it takes far longer than answers took of late."""
        if len(self._replicas) == 1:
            return await self._answer(call, replica)
        first = asyncio.ensure_future(self._answer(call, replica))
        try:
            await asyncio.wait({first}, timeout=self._patience.allows_s(call.max_tokens))
            # Where everything is slow, second requests would make it slower: no more of them than one replica takes.
            if first.done() or self._hurried >= self._settings.concurrency:
                return await first
            return await self._first_answer(call, replica, first)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    async def _first_answer(self, call: _Call[T], late: Replica, first: asyncio.Future[T]) -> T:
        """The answer of the late replica or of another that is asked too, whichever comes first."""
        self._hurried += 1
        second = asyncio.ensure_future(self._answer_elsewhere(call, late))
        try:
            await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
            ahead, behind = (first, second) if first.done() else (second, first)
            if isinstance(ahead.exception(), JudgeUnavailable | JudgeUnreadable):
                return await behind
            if ahead is second:
                said = (
                    f"{late.endpoint.name} had not answered yet when another replica had, asked later; look at its log"
                )
                late.breaker.record_failure(JudgeTimedOut(said))
            return await ahead
        finally:
            self._hurried -= 1
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)

    async def _answer_elsewhere(self, call: _Call[T], late: Replica) -> T:
        async with self._places.place(call.affinity, avoid=late, first=True) as replica:
            return await self._answer(call, replica)

    async def _answer(self, call: _Call[T], replica: Replica) -> T:
        began = self._clock()
        data = await self._ask(replica, "POST", call.path, call.write(replica.endpoint.model))
        reply = call.read(data, replica.endpoint.name)
        self._patience.learn(call.max_tokens, self._clock() - began)
        return reply

    async def models(self) -> tuple[ServedModel, ...]:
        """What the first replica that answers says it serves."""
        failed: Replica | None = None
        async for attempt in self._attempts():
            with attempt:
                replica = failed = self._places.preferred("", avoid=failed)  # takes no place: it costs nothing
                replica.breaker.admit()
                served = read_models(await self._ask(replica, "GET", "/v1/models", b""), replica.endpoint.name)
        return served

    def _attempts(self) -> AsyncRetrying:
        settings = self._settings
        return AsyncRetrying(
            retry=retry_if_exception_type((JudgeUnavailable, JudgeUnreadable)),
            stop=stop_after_attempt(settings.attempts) | stop_before_delay(settings.deadline_s),
            wait=self._wait_s,
            reraise=True,
        )

    def _wait_s(self, state: RetryCallState) -> float:
        """Full jitter, and never less than the server asked for, unless there is another that asked for nothing."""
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, JudgeUnavailable) else 0.0
        elsewhere = isinstance(error, JudgeBusy) and self._places.any_unpaused()
        return float(_backoff(state)) + (0.0 if elsewhere else asked_s)

    def _check_budget(self) -> None:
        limit = self._settings.max_tokens_total
        if limit is not None and self.tokens_spent >= limit:
            raise BudgetSpent(
                f"the judge's budget of {limit} tokens is spent ({self.tokens_spent}); begin a new run with a higher "
                "judge.max_tokens_total: it takes over what is judged already"
            )

    async def _ask(self, replica: Replica, method: str, path: str, body: bytes) -> bytes:
        """One attempt on one replica; tells its breaker how it went."""
        breaker = replica.breaker
        try:
            data = await self._exchange(replica, method, path, body)
        except JudgeBusy as error:
            breaker.record_busy(error.retry_after_s)
            raise
        except asyncio.CancelledError:
            breaker.abandon()
            raise
        except JudgeUnavailable as error:
            breaker.record_failure(error)
            raise
        except JudgeError:
            breaker.record_success()  # it answers: the request was at fault
            raise
        breaker.record_success()
        return data

    async def _exchange(self, replica: Replica, method: str, path: str, body: bytes) -> bytes:
        where, timeout_s = replica.endpoint.name, self._settings.timeout_s
        try:
            async with asyncio.timeout(timeout_s), replica.request(method, path, body) as response:
                data = await _read_capped(response, where)
        except TimeoutError as error:
            raise JudgeTimedOut(
                f"{where} did not answer within {timeout_s:g} s; raise timeout_s or ask less"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise JudgeUnavailable(f"{where} cannot be reached: {reason}; check that it runs") from error
        if response.status == 200:
            return data
        raise _refusal(response, data, where)


async def _read_capped(response: aiohttp.ClientResponse, where: str) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise JudgeUnreadable(f"{where} answered with more than {MAX_ANSWER_BYTES >> 20} MB; it is no chat reply")
    return bytes(data)


def _refusal(response: aiohttp.ClientResponse, data: bytes, where: str) -> JudgeError:
    status = response.status
    if status == 429:
        wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
        return JudgeBusy(f"{where} is busy (429); lower the concurrency", wait_s)
    if status >= 500 or status == 408:
        return JudgeServerError(
            f"{where} failed with status {status}; look at its log",
            _retry_after_s(response.headers.get("Retry-After", "")),
        )
    return rejection(status, data, where)


def _retry_after_s(header: str) -> float:
    """RFC 9110, 10.2.3: seconds or a date. What cannot be read asks for nothing; more than a minute is cut to one."""
    if header.strip().isdigit():
        return min(float(header), _LONGEST_RETRY_AFTER_S)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return min(max(0.0, at.timestamp() - time.time()), _LONGEST_RETRY_AFTER_S)

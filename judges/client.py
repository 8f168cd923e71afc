"""The async client for any OpenAI-compatible chat server, or several that serve the same model.

Bounded concurrency per replica, retries with jitter that honour Retry-After, a deadline, failover, a circuit breaker
per replica, a cap on the size of an answer, and a token budget. Left out: what the messages say (compare.py,
critique.py, protocols/), streaming, and any field that wire.py does not write.
"""

import asyncio
import contextlib
import email.utils
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import httpx
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
from judges.records import Message
from judges.replicas import Endpoint, Replica, choose_replica
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
        self._settings = settings
        self.tokens_spent = 0

    async def __aenter__(self) -> "ChatClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(r.http.aclose() for r in self._replicas))

    @property
    def model(self) -> str:
        """The judge's name, as verdicts record it."""
        return self._replicas[0].endpoint.model

    async def chat(self, messages: Sequence[Message], *, request: ChatRequest) -> ChatReply:
        """One reply. Raises a JudgeError once the attempts, the deadline or the budget are used up."""
        reply = await self._post(
            "/v1/chat/completions",
            request.affinity,
            lambda model: request_body(model, messages, request),
            lambda data, where: read_reply(data, where, logprobs=request.top_logprobs > 0),
        )
        self.tokens_spent += reply.prompt_tokens + reply.completion_tokens
        return reply

    async def reward(self, messages: Sequence[Message], *, affinity: str = "") -> RewardReply:
        """A reward model's score of a conversation's last turn; raises as `chat` does."""
        reply = await self._post("/classify", affinity, lambda model: reward_body(model, messages), read_reward)
        self.tokens_spent += reply.prompt_tokens
        return reply

    async def _post(
        self, path: str, affinity: str, write: Callable[[str], bytes], read: Callable[[bytes, str], T]
    ) -> T:
        """Write a body for the chosen replica's model, send it, and read what came, again where that failed."""
        failed: Replica | None = None
        async for attempt in self._attempts():
            with attempt:
                self._check_budget()
                replica = choose_replica(self._replicas, affinity, avoid=failed)
                failed = replica
                async with _slot(replica):
                    data = await self._ask(replica, "POST", path, write(replica.endpoint.model))
                    reply = read(data, replica.endpoint.name)
        return reply

    async def models(self) -> tuple[ServedModel, ...]:
        """What the first replica that answers says it serves."""
        failed: Replica | None = None
        async for attempt in self._attempts():
            with attempt:
                replica = failed = choose_replica(self._replicas, "", avoid=failed)
                data = await self._ask(replica, "GET", "/v1/models", b"")
                served = read_models(data, replica.endpoint.name)
        return served

    def _attempts(self) -> AsyncRetrying:
        settings = self._settings
        return AsyncRetrying(
            retry=retry_if_exception_type((JudgeUnavailable, JudgeUnreadable)),
            stop=stop_after_attempt(settings.attempts) | stop_before_delay(settings.deadline_s),
            wait=_wait_s,
            reraise=True,
        )

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
        # It may have opened while this request waited for its place.
        choose_replica([replica], "", avoid=None)
        breaker.admit()
        try:
            data = await self._exchange(replica, method, path, body)
        except (JudgeBusy, asyncio.CancelledError):
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
            async with asyncio.timeout(timeout_s), replica.http.stream(method, path, content=body) as response:
                data = await _read_capped(response, where)
        except TimeoutError as error:
            raise JudgeTimedOut(
                f"{where} did not answer within {timeout_s:g} s; raise timeout_s or ask less"
            ) from error
        except (httpx.TransportError, httpx.StreamError) as error:
            reason = str(error) or type(error).__name__
            raise JudgeUnavailable(f"{where} cannot be reached: {reason}; check that it runs") from error
        if response.status_code == 200:
            return data
        raise _refusal(response, data, where)


async def _read_capped(response: httpx.Response, where: str) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise JudgeUnreadable(f"{where} answered with more than {MAX_ANSWER_BYTES >> 20} MB; it is no chat reply")
    return bytes(data)


def _refusal(response: httpx.Response, data: bytes, where: str) -> JudgeError:
    status = response.status_code
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


def _wait_s(state: RetryCallState) -> float:
    """Full jitter, and never less than the server asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, JudgeUnavailable) else 0.0
    return asked_s + float(_backoff(state))


@contextlib.asynccontextmanager
async def _slot(replica: Replica) -> AsyncIterator[None]:
    """Hold one of a replica's places, and count the request as in flight, waiting included."""
    replica.in_flight += 1
    try:
        async with replica.slots:
            yield
    finally:
        replica.in_flight -= 1

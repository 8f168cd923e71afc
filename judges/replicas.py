"""The servers behind one judge: what is known of each, its circuit breaker, and which of them suits a request.

Left out: the HTTP (client.py), and who waits for a place where (places.py). Time comes from an injected clock, so that
a test need not wait.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import aiohttp
import httpx

from judges.errors import JudgeRejected, JudgeUnavailable

_OPENS_AFTER = 5  # failures in a row
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 30.0
_KEPT_S = 2.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served: OpenAI-compatible, by URL or by Unix socket (the URL's host is unused then)."""

    model: str
    base_url: str = "http://localhost"
    uds: str | None = None
    api_key: str | None = None

    @property
    def name(self) -> str:
        """How errors call it; never the key."""
        return f"model {self.model!r} at {self.uds or self.base_url}"


class Breaker:
    """Rests a failing server: open after 5 failures in a row, then one probe after 1 s, 2 s, 4 s ... up to 30 s.

    One that says 429 is only paused: it gets nothing for as long as it asked, unless there is no other.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._rest_s = _FIRST_REST_S
        self._open_until = 0.0
        self._paused_until = 0.0
        self._probing = False
        self.last_failure = ""

    @property
    def is_open(self) -> bool:
        return self._failures >= _OPENS_AFTER

    def rest_left_s(self) -> float:
        """Seconds until a request may be tried; 0 where it may be now."""
        if not self.is_open:
            return 0.0
        if self._probing:
            return self._rest_s
        return max(0.0, self._open_until - self._clock())

    def admit(self) -> None:
        """A request is going out. While half-open, it is the only one."""
        self._probing = self.is_open

    def record_success(self) -> None:
        self._failures, self._rest_s, self._probing = 0, _FIRST_REST_S, False

    def record_failure(self, error: JudgeUnavailable) -> None:
        self.last_failure = str(error)
        self._failures += 1
        if self._probing:
            self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)
        self._probing = False
        self._open_until = self._clock() + self._rest_s

    @property
    def is_paused(self) -> bool:
        return self._clock() < self._paused_until

    def record_busy(self, retry_after_s: float) -> None:
        """It asked for a pause: that is no failure, and no success."""
        self._paused_until = self._clock() + max(retry_after_s, _FIRST_REST_S)
        self.abandon()

    def abandon(self) -> None:
        """The request was cancelled: it proved nothing, but another may probe."""
        self._probing = False


class Replica:
    """One endpoint, its connections, how many requests it takes at once and has in flight, and its breaker."""

    def __init__(self, endpoint: Endpoint, concurrency: int, clock: Callable[[], float]) -> None:
        self.endpoint = endpoint
        self.breaker = Breaker(clock)
        self.concurrency = concurrency
        self.in_flight = 0
        self._session: aiohttp.ClientSession | None = None

    def request(self, method: str, path: str, body: bytes) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """One exchange, without a limit of time. Raises JudgeRejected where the key is none that can be sent."""
        if self._session is None:  # it belongs to the loop that runs now
            self._session = _open_session(self.endpoint)
        return self._session.request(
            method, self.endpoint.base_url.rstrip("/") + path, data=body, allow_redirects=False
        )

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()


def _open_session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """Connections to one server. aiohttp takes a quarter of httpx's time for a request, or less."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if endpoint.api_key:
        if not (endpoint.api_key.isascii() and endpoint.api_key.isprintable()):
            said = f"{endpoint.name}: its key holds a line break or another character that no header takes; mend it"
            raise JudgeRejected(said, 401)
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    # A server hangs up on idle connections (uvicorn after 5 s), many at once after a lull: a request that goes out
    # at that moment fails. A new connection to a socket costs nothing; others are not kept for nearly so long.
    connector: aiohttp.BaseConnector
    if endpoint.uds:
        connector = aiohttp.UnixConnector(endpoint.uds, limit=0, force_close=True)
    else:
        secure = httpx.create_ssl_context() if endpoint.base_url.startswith("https") else False
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S, ssl=secure)
    return aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the client bounds a whole request
        auto_decompress=False,
    )


def open_replicas(replicas: Sequence[Replica]) -> list[Replica]:
    """Those that may get a request now: not resting, and not paused unless all of these are."""
    ready = [r for r in replicas if r.breaker.rest_left_s() == 0]
    return [r for r in ready if not r.breaker.is_paused] or ready


def all_resting(replicas: Sequence[Replica]) -> JudgeUnavailable:
    """The error where none is open."""
    rest_s = min(r.breaker.rest_left_s() for r in replicas)
    said = " and ".join(f"{r.breaker.last_failure} (it failed {_OPENS_AFTER} times in a row)" for r in replicas)
    return JudgeUnavailable(said, rest_s)


def preferred_replica(candidates: Sequence[Replica], affinity: str) -> Replica:
    """Rendezvous hashing: the other replicas' shares stay where they are when one is lost."""
    return max(candidates, key=lambda r: hashlib.sha256(f"{affinity}\0{r.endpoint.name}".encode()).digest())

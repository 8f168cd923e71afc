"""An HTTP/1.1 client that costs its process little, so that what a benchmark times is the service.

Answers with a Content-Length or without a body; left out: chunks, redirects, TLS, retries.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

_BODILESS = (204, 304)
_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    """`seconds` from before the request was written to its answer's last byte. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class _Connection(asyncio.Protocol):
    """One request at a time. `is_open` until either side closes it."""

    def __init__(self) -> None:
        self.is_open = False
        self._received = bytearray()
        self._sent_at = 0.0
        self._answered: asyncio.Future[Answered] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self.is_open = True

    async def ask(self, request: bytes) -> Answered:
        self._received.clear()
        self._answered = asyncio.get_running_loop().create_future()
        self._sent_at = time.perf_counter()
        self._transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answered is None or self._answered.done():
            return
        status, headers = _read_head(head)
        length = 0 if status in _BODILESS else int(headers["content-length"])
        if len(body) >= length:
            seconds = time.perf_counter() - self._sent_at
            self._answered.set_result(Answered(status, headers, bytes(body), seconds))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError("the service closed the connection before it answered"))


class Client:
    """The connections of one person or program, kept open: as many as it has requests on their way at once."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[_Connection] = []

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answered:
        """Raises OSError where the service does not answer."""
        request = _request(method, path, {"Host": f"{self._host}:{self._port}"} | dict(headers), body)
        connection = await self._connection()
        async with asyncio.timeout(_LONGEST_S):
            answered = await connection.ask(request)
        self._idle.append(connection)
        return answered

    async def _connection(self) -> _Connection:
        while self._idle:
            if (connection := self._idle.pop()).is_open:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, self._host, self._port))[1]


def _request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read_head(head: bytes | bytearray) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in named}

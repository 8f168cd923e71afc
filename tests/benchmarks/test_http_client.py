"""The benchmark's own client, against answers written by hand."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from benchmarks.http_client import Client


@asynccontextmanager
async def serving(answers: list[bytes], heard: list[bytes]):
    """Gives the answers in order, a piece at a time; when they are used up, it closes the connection."""

    async def answer(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]) if b"Content-Length" in head else 0
            heard.append(head + await reader.readexactly(length))
            if not answers:
                break
            said = answers.pop(0)
            for piece in (said[:9], said[9:-1], said[-1:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield Client("127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()


async def test_answers_with_a_body_and_without_come_over_one_connection():
    heard: list[bytes] = []
    answers = [
        b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Thing: a: b\r\n\r\nhi",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]
    async with serving(answers, heard) as client:
        made = await client.ask("POST", "/things", {"Cookie": "a=b"}, b"{}")
        gone = await client.ask("GET", "/nothing", {})
    assert (made.status, made.headers["x-thing"], made.body) == (201, "a: b", b"hi")
    assert (gone.status, gone.body) == (204, b"")
    assert 0 < made.seconds < 60
    assert heard[0].startswith(b"POST /things HTTP/1.1\r\nHost: 127.0.0.1:") and heard[0].endswith(b"\r\n\r\n{}")


async def test_a_connection_that_closes_without_an_answer_is_an_error():
    async with serving([], []) as client:
        with pytest.raises(OSError, match="before it answered"):
            await client.ask("GET", "/", {})

"""What must hold before the demo starts anything, so that a slip on the command line is told at once.

Left out: the content of the user's files. The service's import reads them and names the line.
"""

import asyncio
import os
import socket

from judges.client import ChatClient, ClientSettings
from judges.errors import JudgeError
from judges.records import Message
from judges.replicas import Endpoint
from judges.wire import ChatRequest
from service.demo.errors import DemoError
from service.demo.recipe import DemoOptions

# The variable that holds the endpoint's key, where it wants one.
JUDGE_KEY = "JUDGE_KEY"
_LARGEST_PORT = 65535
_ASKED_ONCE = ClientSettings(concurrency=1, timeout_s=30.0, attempts=2, deadline_s=60.0)


def check_options(options: DemoOptions) -> None:
    """Raise DemoError for the first option that cannot work; asks the judge at --judge-url one question."""
    if options.judge_url and not options.judge_model:
        raise DemoError("--judge-url names an endpoint but not what it serves; add --judge-model")
    if options.judge_model and not options.judge_url:
        raise DemoError("--judge-model names what an endpoint serves but not where it is; add --judge-url")
    if options.human is not None and not options.human.is_file():
        raise DemoError(f"--human {options.human}: no such file; name one with preferences")
    if options.port:
        _check_port(options.port)
    if options.judge_url and options.judge_model:
        _check_judge(options.judge_url, options.judge_model)


def judge_key_variable() -> str | None:
    """The name under which the service finds the endpoint's key, where the user has set one."""
    return JUDGE_KEY if os.environ.get(JUDGE_KEY) else None


def _check_port(port: int) -> None:
    if not 0 < port <= _LARGEST_PORT:
        raise DemoError(
            f"--port {port}: there is no such port; take one from 1 to {_LARGEST_PORT}, or 0 for a free one"
        )
    with socket.socket() as listener:
        # As the service does it: a port whose last connections linger is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(f"--port {port}: {error.strerror}; take another one, or 0 for a free one") from error


def _check_judge(url: str, model: str) -> None:
    """One token with log-probabilities: all that verdicts need."""
    key = os.environ.get(JUDGE_KEY)
    endpoint = Endpoint(model, url.rstrip("/").removesuffix("/v1"), api_key=key)

    async def ask() -> None:
        async with ChatClient([endpoint], _ASKED_ONCE) as client:
            question = Message("user", "Which letter comes first in the alphabet, A or B? Answer with the letter.")
            await client.chat([question], request=ChatRequest(max_tokens=1, top_logprobs=5))

    try:
        asyncio.run(ask())
    except JudgeError as error:
        advice = "" if key else f" (an endpoint that wants a key finds it in ${JUDGE_KEY})"
        raise DemoError(f"--judge-url {url}: {error}{advice}") from error

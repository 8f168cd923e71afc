"""The model server that ships as a fake: OpenAI's chat completions with scripted answers, faults and counts.

    python -m judges.scripted --uds SOCKET | --port PORT [--behaviour FILE.json] [--model NAME]

Same input, same answer: samples depend on the prompt and on how often it was asked, verdicts on the two fenced
replies. GET /calls tells what was asked. Left out: streaming, tokenisation (a token is a word here).
"""

import argparse
import asyncio
import json
import math
import os
import socket
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from judges.behaviour import Behaviour, Fault, RequestKind, load_behaviour, sampled_text
from judges.fence import read_fences
from judges.templates import load_template

_KEPT_BODIES = 500
_MAX_MODEL_LEN = 4096
_LAST_LINES = {name: load_template(name).text.strip().splitlines()[-1] for name in ("critique", "revise")}


class ScriptedServer:
    """The answers and the counts of one scripted model."""

    def __init__(self, model: str, behaviour: Behaviour) -> None:
        self.model = model
        self.behaviour = behaviour
        self.kinds: Counter[str] = Counter()
        self.prompts: Counter[str] = Counter()
        self.fields: set[str] = set()
        self.bodies: deque[dict[str, object]] = deque(maxlen=_KEPT_BODIES)
        self.in_flight = 0
        self.peak_in_flight = 0
        self.number = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/calls", self.calls),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
            ]
        )

    async def health(self, _: Request) -> Response:
        return Response()

    async def models(self, _: Request) -> Response:
        card = {"id": self.model, "object": "model", "max_model_len": _MAX_MODEL_LEN}
        return JSONResponse({"object": "list", "data": [card]})

    async def calls(self, _: Request) -> Response:
        return JSONResponse(
            {
                "total": self.number,
                "kinds": dict(self.kinds),
                "fields": sorted(self.fields),
                "peak_in_flight": self.peak_in_flight,
                "bodies": list(self.bodies),
            }
        )

    async def chat(self, request: Request) -> Response:
        body = json.loads(await request.body())
        number, self.number = self.number, self.number + 1
        prompt = str(body["messages"][-1]["content"])
        kind = request_kind(prompt)
        before = str(body["messages"][-2]["content"]) if kind == "revise" else ""
        self.kinds[kind] += 1
        self.fields |= set(body)
        self.bodies.append(body)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            if self.behaviour.latency_s:
                await asyncio.sleep(self.behaviour.latency_s)
            fault = next((f for f in self.behaviour.faults if f.strikes(number, kind)), None)
            if fault and fault.kind != "slow":
                return await _faulty(fault)
            if fault:
                await asyncio.sleep(fault.seconds)
            return self._answer(body, prompt, kind, before)
        finally:
            self.in_flight -= 1

    def _answer(self, body: dict[str, object], prompt: str, kind: RequestKind, before: str) -> Response:
        words = sum(len(str(m).split()) for m in _list(body["messages"]))
        max_tokens = int(str(body["max_tokens"]))
        if body.get("model") != self.model:
            return _error(404, f"The model `{body.get('model')}` does not exist.", "model")
        if words + max_tokens > _MAX_MODEL_LEN:
            said = f"This model's maximum context length is {_MAX_MODEL_LEN} tokens; your prompt contains {words}."
            return _error(400, said, "input_tokens")
        index = self.prompts[prompt]
        self.prompts[prompt] += 1
        text, logprobs = self._text(kind, prompt, index, before)
        told = text.split(" ")
        cut = len(told) > max_tokens
        choice: dict[str, object] = {
            "index": 0,
            "message": {"role": "assistant", "content": " ".join(told[:max_tokens])},
            "finish_reason": "length" if cut or max_tokens == 1 else "stop",
        }
        if body.get("logprobs"):
            top = [{"token": t, "logprob": lp} for t, lp in logprobs][: int(str(body.get("top_logprobs", 0)))]
            choice["logprobs"] = {"content": [{"token": told[0], "logprob": -0.1, "top_logprobs": top}]}
        used = min(len(told), max_tokens)
        usage = {"prompt_tokens": words, "completion_tokens": used, "total_tokens": words + used}
        return JSONResponse({"object": "chat.completion", "model": self.model, "choices": [choice], "usage": usage})

    def _text(
        self, kind: RequestKind, prompt: str, index: int, before: str
    ) -> tuple[str, tuple[tuple[str, float], ...]]:
        if kind == "compare":
            fences = dict(read_fences(prompt))
            top = choice_logprobs(fences["reply A"], fences["reply B"], self.behaviour)
            return max(top, key=lambda entry: entry[1])[0], top
        if kind == "critique":
            return "The reply is longer than it needs to be and opens with a stock phrase.", ()
        if kind == "revise":
            kept = before.removeprefix("Certainly! ").split(", and ")[0].split(".")[0]
            return f"Sure, here is the revised reply:\n\n{kept.strip()}.", ()
        return sampled_text(prompt, index, self.behaviour), ()


def request_kind(prompt: str) -> RequestKind:
    """Which of our prompts this is, told by its fences or by its template's last line."""
    if {"reply A", "reply B"} <= {label for label, _ in read_fences(prompt)}:
        return "compare"
    if prompt.endswith(_LAST_LINES["revise"]):
        return "revise"
    return "critique" if prompt.endswith(_LAST_LINES["critique"]) else "sample"


def choice_logprobs(first: str, second: str, behaviour: Behaviour) -> tuple[tuple[str, float], ...]:
    """The likeliest first tokens of a verdict: 90 % of the mass on A and B, some of it on other spellings."""
    if behaviour.taste == "unwilling":
        return (("I", math.log(0.9)), ("A", math.log(0.01)), ("B", math.log(0.01)))
    longer = (len(first) > len(second)) - (len(first) < len(second))
    better = {"shorter": -longer, "longer": longer, "first": 1, "tie": 0}[behaviour.taste]
    p_first = 1 / (1 + math.exp(-(behaviour.strength * better + behaviour.first_bias)))
    masses = (("A", 0.8 * p_first), (" A", 0.1 * p_first), ("B", 0.85 * (1 - p_first)), ("(B", 0.05 * (1 - p_first)))
    listed = (*((token, math.log(mass)) for token, mass in masses), ("The", math.log(0.05)))
    return tuple(sorted(listed, key=lambda entry: -entry[1]))


async def _faulty(fault: Fault) -> Response:
    match fault.kind:
        case "crash":
            os._exit(137)
        case "hang":
            await asyncio.sleep(3600)
        case "429":
            return JSONResponse({"error": {"message": "slow down"}}, 429, {"Retry-After": f"{fault.seconds:.0f}"})
        case "400":
            return _error(400, "scripted refusal", None)
        case "500":
            return _error(500, "scripted failure", None)
        case "garbage":
            return Response(b"<html>\x00\xff not json", media_type="application/json")
        case "nan":
            top = '[{"token": "A", "logprob": NaN}, {"token": "B", "logprob": NaN}]'
            return Response(_CHAT % (b'"A"', top.encode(), b"length"), media_type="application/json")
        case "empty":
            return Response(_CHAT % (b'""', b"[]", b"stop"), media_type="application/json")
        case "truncated":
            return Response(b'{"choices": [{"message": {"content": "A"', media_type="application/json")
        case "huge":
            return Response(b'{"choices": "' + b"x" * (11 << 20) + b'"}', media_type="application/json")
    return Response(status_code=500)


_CHAT = (
    b'{"choices": [{"message": {"content": %b}, "logprobs": {"content": [{"token": "A", "top_logprobs": %b}]},'
    b' "finish_reason": "%b"}], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}'
)


def _error(status: int, message: str, param: str | None) -> Response:
    return JSONResponse({"error": {"message": message, "type": "scripted", "param": param, "code": status}}, status)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m judges.scripted", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds")
    where.add_argument("--port", type=int)
    parser.add_argument("--behaviour", type=Path)
    parser.add_argument("--model", default="scripted")
    arguments = parser.parse_args()
    behaviour = load_behaviour(arguments.behaviour) if arguments.behaviour else Behaviour()
    app = ScriptedServer(arguments.model, behaviour).app()
    if arguments.uds:
        # uvicorn opens a socket of its own to everyone (0666), whatever the umask: we bind it ourselves.
        _serve_on_socket(app, arguments.uds)
    else:
        uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


def _serve_on_socket(app: Starlette, path: str) -> None:
    os.umask(0o077)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()

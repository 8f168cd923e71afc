"""The model server that ships as a fake: OpenAI's chat completions, and a reward model's scores, with scripted answers,
faults and counts.

    python -m judges.scripted --uds SOCKET | --port PORT [--behaviour FILE.json] [--model NAME]

Same input, same answer: samples depend on the prompt and on how often it was asked, verdicts on the fenced replies
(scripted_verdicts.py). GET /calls tells what was asked. It stands for a policy's engine too (scripted_policy.py).
Left out: streaming, tokenisation (a token is a word here).
"""

import argparse
import asyncio
import json
import os
import re
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from judges.behaviour import Behaviour, Fault, RequestKind, load_behaviour, sampled_text
from judges.fence import read_fences
from judges.protocols.grades import YES_NO
from judges.protocols.texts import protocol_template
from judges.scripted_policy import ScriptedPolicy
from judges.scripted_verdicts import (
    choice_tokens,
    label_tokens,
    level_tokens,
    ranking_text,
    reward_of,
    written_text,
)
from judges.templates import load_template
from judges.wire import TokenLogprob

_KEPT_BODIES = 500
_MAX_MODEL_LEN = 4096
_LAST_LINES = {name: load_template(name).text.strip().splitlines()[-1] for name in ("critique", "revise")}
_WRITTEN = tuple(
    protocol_template(name).text.strip().splitlines()[-1] for name in ("reason", "argue", "metrics", "reference")
)
_PROBE = protocol_template("probe").text.split("{{")[0]
_ORDER_ASKED = re.compile(r"from (?:the )?best to (?:the )?worst")
_HIGHEST = re.compile(r"from 1 to ([2-9])\b")


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
        self.policy = ScriptedPolicy(_MAX_MODEL_LEN)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/calls", self.calls),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/classify", self.reward, methods=["POST"]),
                *self.policy.routes(),
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
                "reloads": self.policy.reloads,
                "bodies": list(self.bodies),
            }
        )

    async def chat(self, request: Request) -> Response:
        body = json.loads(await request.body())
        turns = [str(turn["content"]) for turn in body["messages"]]
        kind = request_kind(turns)
        return await self._served(body, kind, lambda: self._answer(body, turns, kind))

    async def reward(self, request: Request) -> Response:
        body = json.loads(await request.body())
        return await self._served(body, "reward", lambda: self._score(body))

    async def _served(self, body: dict[str, object], kind: RequestKind, answer: Callable[[], Response]) -> Response:
        """Count the request, and answer it unless a fault strikes."""
        number, self.number = self.number, self.number + 1
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
                return await _faulty(fault, kind)
            if fault:
                await asyncio.sleep(fault.seconds)
            return answer()
        finally:
            self.in_flight -= 1

    def _score(self, body: dict[str, object]) -> Response:
        turns = [str(turn["content"]) for turn in _list(body["messages"]) if isinstance(turn, dict)]
        usage = {"prompt_tokens": sum(len(turn.split()) for turn in turns)}
        return JSONResponse({"data": [{"probs": [reward_of(turns[-1], self.behaviour)]}], "usage": usage})

    def _answer(self, body: dict[str, object], turns: Sequence[str], kind: RequestKind) -> Response:
        prompt = turns[-1]
        words = sum(len(str(m).split()) for m in _list(body["messages"]))
        max_tokens = int(str(body["max_tokens"]))
        if body.get("model") != self.model:
            return _error(404, f"The model `{body.get('model')}` does not exist.", "model")
        if words + max_tokens > _MAX_MODEL_LEN:
            said = f"This model's maximum context length is {_MAX_MODEL_LEN} tokens; your prompt contains {words}."
            return _error(400, said, "input_tokens")
        index = self.prompts[prompt]
        self.prompts[prompt] += 1
        text, logprobs = scripted_text(kind, turns, index, self.behaviour)
        told = text.split(" ")
        cut = len(told) > max_tokens
        choice: dict[str, object] = {
            "index": 0,
            "message": {"role": "assistant", "content": " ".join(told[:max_tokens])},
            "finish_reason": "length" if cut or max_tokens == 1 else "stop",
        }
        if body.get("logprobs"):
            top = [{"token": entry.token, "logprob": entry.logprob} for entry in logprobs][
                : int(str(body.get("top_logprobs", 0)))
            ]
            choice["logprobs"] = {"content": [{"token": told[0], "logprob": -0.1, "top_logprobs": top}]}
        used = min(len(told), max_tokens)
        usage = {"prompt_tokens": words, "completion_tokens": used, "total_tokens": words + used}
        return JSONResponse({"object": "chat.completion", "model": self.model, "choices": [choice], "usage": usage})


def scripted_text(
    kind: RequestKind, turns: Sequence[str], index: int, behaviour: Behaviour
) -> tuple[str, tuple[TokenLogprob, ...]]:
    """What the scripted model says to a conversation that was asked `index` times before, and its first tokens."""
    prompt = turns[-1]
    fences = dict(read_fences("\n".join(turns)))
    match kind:
        case "compare":
            return _likeliest(choice_tokens(fences["reply A"], fences["reply B"], behaviour))
        case "grade":
            return _likeliest(level_tokens(fences["reply"], _levels_asked(prompt), behaviour))
        case "probe":
            return _likeliest(label_tokens(prompt.removeprefix(_PROBE), behaviour))
        case "rank":
            return ranking_text([text for label, text in fences.items() if _is_lettered(label)], behaviour), ()
        case "write":
            return written_text(prompt, behaviour), ()
        case "critique":
            return "The reply is longer than it needs to be and opens with a stock phrase.", ()
        case "revise":
            kept = turns[-2].removeprefix("Certainly! ").split(", and ")[0].split(".")[0]
            return f"Sure, here is the revised reply:\n\n{kept.strip()}.", ()
    return sampled_text(prompt, index, behaviour), ()


def request_kind(turns: Sequence[str]) -> RequestKind:
    """Which of our prompts this is, told by the conversation's fences or by how its last turn begins or ends."""
    prompt = turns[-1]
    labels = {label for label, _ in read_fences("\n".join(turns))}
    if prompt.endswith(_WRITTEN):
        return "write"
    if {"reply A", "reply B"} <= labels:
        return "rank" if _ORDER_ASKED.search(prompt.splitlines()[-1]) else "compare"
    if "reply" in labels:
        return "grade"
    if prompt.startswith(_PROBE):
        return "probe"
    if prompt.endswith(_LAST_LINES["revise"]):
        return "revise"
    return "critique" if prompt.endswith(_LAST_LINES["critique"]) else "sample"


def _levels_asked(prompt: str) -> tuple[str, ...]:
    """1 to the number that the last line names, else no and yes."""
    asked = _HIGHEST.search(prompt.splitlines()[-1])
    return tuple(str(level) for level in range(1, int(asked[1]) + 1)) if asked else YES_NO


def _is_lettered(label: str) -> bool:
    return len(label) == len("reply A") and label.startswith("reply ")


def _likeliest(tokens: tuple[TokenLogprob, ...]) -> tuple[str, tuple[TokenLogprob, ...]]:
    return max(tokens, key=lambda entry: entry.logprob).token, tokens


async def _faulty(fault: Fault, kind: RequestKind) -> Response:
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
        case "nan" if kind == "reward":
            return Response(b'{"data": [{"probs": [NaN]}], "usage": {"prompt_tokens": 5}}')
        case "nan":
            top = '[{"token": "A", "logprob": NaN}, {"token": "B", "logprob": NaN}]'
            return Response(_CHAT % (b'"A"', top.encode(), b"length"), media_type="application/json")
        case "empty" if kind == "reward":
            return Response(b'{"data": [{"probs": []}], "usage": {"prompt_tokens": 5}}')
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

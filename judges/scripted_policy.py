"""The scripted server as a policy's engine: token ids for token ids, and weights that are reloaded in place.

It answers the three routes that `training/engine_sampler.py` uses of vLLM. A reply depends on its prompt's ids and on
the bytes of the weights; a prompt that was asked before is answered from the prefix cache, so by the weights of then,
until that is reset: as vLLM does. Left out: sampling (a reply is the same each time), log-probabilities.
"""

import hashlib
import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from judges.behaviour import share

_FIRST_TOKEN, _TOKENS = 3, 90
_FINISHED_SHARE = 0.5


class ScriptedPolicy:
    """What one engine holds: the hash of its weights, and under which weights each prompt was cached."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._weights = ""
        self._cached: dict[tuple[int, ...], str] = {}
        self.reloads = 0

    def routes(self) -> list[Route]:
        return [
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/collective_rpc", self.call, methods=["POST"]),
            Route("/reset_prefix_cache", self.reset, methods=["POST"]),
        ]

    async def complete(self, request: Request) -> Response:
        """The choices come in any order, each with its `index`."""
        body = json.loads(await request.body())
        if "seed" in body:
            return JSONResponse({"error": {"message": "a seed can end vLLM's process on a CPU"}}, 400)
        most, ends = int(body["max_tokens"]), body["stop_token_ids"]
        prompts = [tuple(prompt) for prompt in body["prompt"]]
        if any(len(prompt) + most > self._longest for prompt in prompts):
            return JSONResponse({"error": {"message": f"the context is {self._longest} tokens"}}, 400)
        choices = [
            {"index": index, "text": "", "token_ids": self._reply(prompt, most, ends)}
            for index, prompt in enumerate(prompts)
        ]
        return JSONResponse({"object": "text_completion", "choices": choices[::-1]})

    async def call(self, request: Request) -> Response:
        """`reload_weights` alone, from a folder of safetensors."""
        body = json.loads(await request.body())
        files = sorted(Path(body["kwargs"]["weights_path"]).glob("*.safetensors"))
        if body["method"] != "reload_weights" or not files:
            return JSONResponse({"error": {"message": f"no weights to {body['method']}"}}, 500)
        self._weights = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        self.reloads += 1
        return JSONResponse({"results": [None]})

    async def reset(self, _: Request) -> Response:
        self._cached.clear()
        return Response()

    def _reply(self, prompt: tuple[int, ...], most: int, ends: list[int]) -> list[int]:
        key = f"{self._cached.setdefault(prompt, self._weights)}/{prompt}"
        finished = share(f"{key}/finished") < _FINISHED_SHARE
        length = 1 + int(share(f"{key}/length") * most)
        tokens = [_FIRST_TOKEN + int(share(f"{key}/{place}") * _TOKENS) for place in range(length)]
        return [*tokens[:-1], ends[length % len(ends)]] if finished else tokens

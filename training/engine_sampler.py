"""Samples by a vLLM server of the trainer's own, whose weights are reloaded in place each time the policy has moved.

The policy's adapter is added to the base's weights, these go into shared memory, and the engine reads them from there
(0.5 s for 135 M parameters). Its development routes serve for that: the server listens on a private Unix socket alone
and ends with the trainer. vLLM's own LoRA is 5 to 17 times slower on a CPU. Left out: GPUs shared with the trainer
beyond `gpu_memory_share`.
"""

import asyncio
import contextlib
import hashlib
import math
import os
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import httpx
import torch
from safetensors.torch import save_file
from torch import Tensor

from judges.engine import EngineSettings, start_engine
from training.errors import LostReply, TrainingError
from training.lora import LoraLinear
from training.model import Policy
from training.rollouts import SampledReply

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 a private folder is made in it
_TIMEOUT_S = 1800.0
_MODEL = "policy"


class EngineSampler:
    """Starts the server (30 to 60 s); `close` ends it. Raises EngineFailed, TrainingError.

    A reply ends with one of the tokens `ends`. `seed` is where the engine's draws begin.
    `program` scripted is the fake that ships, which answers the same routes without a model.
    """

    def __init__(
        self,
        policy: Policy,
        model: Path,
        log: Path,
        *,
        context: int,
        reply_tokens: int,
        ends: tuple[int, ...],
        seed: int = 0,
        program: Literal["vllm", "scripted"] = "vllm",
    ) -> None:
        self._policy = policy
        self._request = {
            "model": _MODEL,
            "max_tokens": reply_tokens,
            "temperature": 1.0,
            "stop_token_ids": list(ends),
            "return_token_ids": True,
        }
        if policy.numbers.precision == "fp32":
            # Of the tokens drawn, and of no others. In 16 bits they are not the trainer's, and would only cost time.
            self._request["logprobs"] = 0
        self._ends = ends
        self._weights = ""
        self._folder = _empty_folder(log)
        socket = self._folder / "v.sock"
        settings = EngineSettings(
            model_path=str(model),
            served_name=_MODEL,
            socket_path=socket,
            log_path=log,
            program=program,
            max_model_len=context,
            gpu_memory_share=0.4,
            gpu=own_gpu(policy.numbers.device),
            # Weights in 16 bits cannot hold the first small updates.
            dtype="float32" if policy.numbers.precision == "fp32" else "auto",
            reloadable=True,
            extra_args=("--seed", str(seed)),
            wide_head=False,  # the trainer computes the same tokens' logits in the weights' format too
        )
        with contextlib.ExitStack() as opened:
            opened.callback(shutil.rmtree, self._folder)
            loop = opened.enter_context(asyncio.Runner())
            self._engine = loop.run(start_engine(settings))
            opened.callback(lambda: loop.run(self._engine.stop()))
            transport = httpx.HTTPTransport(uds=str(socket))
            client = httpx.Client(transport=transport, base_url="http://localhost", timeout=_TIMEOUT_S)
            self._http = opened.enter_context(client)
            self._opened = opened.pop_all()

    def update(self, weights: str) -> None:
        """Hand the policy's weights over, unless the engine has them."""
        if weights == self._weights:
            return
        path = self._folder / "model.safetensors"
        save_file(merged_tensors(self._policy), path, metadata={"format": "pt"})
        self._post("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(self._folder)}})
        path.unlink()
        self._post("/reset_prefix_cache", {})  # its blocks are of the old weights
        self._weights = weights

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        """`seed` is not handed on: a request with one can end vLLM's process on a CPU. A run made again differs."""
        answer = self._post("/v1/completions", {**self._request, "prompt": [list(prompt) for prompt in prompts]})
        choices = sorted(answer.json()["choices"], key=lambda choice: choice["index"])
        if len(choices) != len(prompts):
            raise TrainingError(f"the policy's engine gave {len(choices)} replies to {len(prompts)} prompts")
        return [
            self._reply(tuple(choice["token_ids"]), told_logps(prompt, choice.get("logprobs")))
            for prompt, choice in zip(prompts, choices, strict=True)
        ]

    def close(self) -> None:
        """End the server and free the shared memory."""
        self._opened.close()

    def _reply(self, tokens: tuple[int, ...], logps: tuple[float, ...]) -> SampledReply:
        return SampledReply(tokens, any(last in self._ends for last in tokens[-1:]), self._weights, logps)

    def _post(self, path: str, body: object) -> httpx.Response:
        try:
            response = self._http.post(path, json=body)
        except httpx.TransportError as error:
            raise TrainingError(
                f"the policy's engine does not answer {path} ({error!r}); its log is {self._engine.log_path}"
            ) from error
        if response.status_code != 200:
            raise TrainingError(
                f"the policy's engine answers {path} with {response.status_code}: {response.text[:300]}"
            )
        return response


def told_logps(prompt: tuple[int, ...], told: Mapping[str, Sequence[float | None]] | None) -> tuple[float, ...]:
    """Of the tokens drawn, nats, as the engine tells them. Raises LostReply where one is no number."""
    logps = told["token_logprobs"] if told else []
    found = tuple(logp for logp in logps if logp is not None and math.isfinite(logp))
    if len(found) < len(logps):
        raise LostReply(prompt)
    return found


def engine_seed(seed: int, rank: int) -> int:
    """Of several ranks each draws otherwise: the same noise on other prompts would be counted as several draws."""
    return random.Random(f"{seed}/engine/{rank}").getrandbits(31)


def own_gpu(device: torch.device) -> str:
    """The trainer's, as CUDA_VISIBLE_DEVICES names it: of several ranks each has its own. Empty where it has none."""
    if device.type != "cuda":
        return ""
    number = torch.cuda.current_device()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[number] if named else str(number)


def _empty_folder(log: Path) -> Path:
    """In shared memory where there is any, named after the engine's log: what a kill left there is cleared."""
    parent = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    name = hashlib.sha256(str(log.resolve()).encode()).hexdigest()[:16]
    folder = parent / f"charter-policy-{os.getuid()}-{name}"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    return folder


def merged_tensors(policy: Policy) -> dict[str, Tensor]:
    """The base's tensors under the names of its own checkpoint, the policy's adapter added where it has one."""
    merged: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, weight in policy.causal.named_parameters():
            if ".lora_" not in name:
                merged[name.replace(".base_layer.", ".")] = weight.detach()
        for name, layer in policy.causal.named_modules():
            if isinstance(layer, LoraLinear) and "default" in layer.lora_A:
                base = layer.base_layer.weight
                delta = layer.get_delta_weight("default").to(base.device)
                merged[f"{name}.weight"] = (base.float() + delta.float()).to(base.dtype)
    return {name: tensor.cpu().contiguous() for name, tensor in merged.items()}

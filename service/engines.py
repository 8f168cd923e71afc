"""The model servers of one worker: started when first needed, shared by its runs, started again when they died.

A merged adapter's server is leased to one run and stopped after it. Left out: how a server is started and guarded
(`judges/engine.py`).
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from judges.engine import Engine, EngineSettings, has_gpu, on_cpu, start_engine
from judges.errors import EngineFailed
from judges.replicas import Endpoint
from service.errors import RunFailed
from service.settings import Settings
from service.store.records import ModelRecord

_log = logging.getLogger(__name__)
# A folder and its server's context in tokens: of one folder registered twice, each may have another.
ServerKey = tuple[str, int]
_LONGEST_SOCKET_PATH = 107  # bytes, sun_path of unix(7)
# Of a GPU's memory, for a judge beside a trainer and the engine that samples for it (training/engine_sampler.py).
_SHARE_BESIDE_TRAINING = 0.3


class EnginePool:
    """Use from one event loop. `close()` leaves no server behind."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: dict[ServerKey, Engine] = {}
        self._lock = asyncio.Lock()
        self._buried = 0

    async def endpoint(self, model: ModelRecord) -> Endpoint:
        """Where to ask this model; starts its server where the model is a folder."""
        if model.url is not None:
            return remote_endpoint(model)
        return (await self._running(folder_of(model), model)).endpoint

    @contextlib.asynccontextmanager
    async def leased(self, folder: Path, base: ModelRecord) -> AsyncIterator[Endpoint]:
        """A server for this folder, which holds other weights of the base model, until the block ends."""
        try:
            yield (await self._running(folder, base)).endpoint
        finally:
            async with self._lock:
                if engine := self._engines.pop(self.key(folder, base), None):
                    self._buried += not engine.alive()
                    await engine.stop()

    @contextlib.asynccontextmanager
    async def beside_training(self, model: ModelRecord) -> AsyncIterator[Endpoint]:
        """Where a trainer may ask this model until the block ends: on a GPU a small server of its own, else as ever."""
        if model.url is not None or self.side_by_side:
            yield await self.endpoint(model)
            return
        await self.close()
        folder = folder_of(model)
        settings = replace(engine_settings(folder, model, self._settings), gpu_memory_share=_SHARE_BESIDE_TRAINING)
        async with self._lock:
            self._engines[self.key(folder, model)] = await _started(settings)
        async with self.leased(folder, model) as endpoint:
            yield endpoint

    def key(self, folder: Path, model: ModelRecord) -> ServerKey:
        """What one server is shared by."""
        return str(folder), context_tokens(model, self._settings)

    def deaths(self) -> int:
        """How many servers have died so far: more than before means that one died meanwhile."""
        return self._buried + sum(not engine.alive() for engine in self._engines.values())

    @property
    def side_by_side(self) -> bool:
        """On a CPU servers share the memory; on a GPU each takes most of it."""
        return not has_gpu()

    async def make_room_for_training(self) -> None:
        """Stop all servers, but where they take no memory from the trainer."""
        if not self.side_by_side:
            await self.close()

    async def close(self) -> None:
        """Stop every server."""
        async with self._lock:
            await self._stop_all()

    async def _running(self, folder: Path, model: ModelRecord) -> Engine:
        key = self.key(folder, model)
        async with self._lock:
            engine = self._engines.get(key)
            if engine is not None and engine.alive():
                return engine
            if engine is not None:
                self._buried += 1
                del self._engines[key]
                await engine.stop()
            settings = engine_settings(folder, model, self._settings)
            if self._engines and not on_cpu(settings):
                # Two servers that each take most of a GPU do not fit.
                await self._stop_all()
            self._engines[key] = await _started(settings)
            return self._engines[key]

    async def _stop_all(self) -> None:
        self._buried = self.deaths()
        engines, self._engines = list(self._engines.values()), {}
        await asyncio.gather(*(engine.stop() for engine in engines))


def context_tokens(model: ModelRecord, settings: Settings) -> int:
    """An endpoint's own context; a folder's, but no more than the engines may take."""
    # vLLM does not start with a longer context than the model was made for.
    return model.context_tokens if model.url is not None else min(model.context_tokens, settings.max_model_len)


def engine_settings(folder: Path, model: ModelRecord, settings: Settings) -> EngineSettings:
    """The server of this folder under the model's name: its own weights, or others of the same shape."""
    context = context_tokens(model, settings)
    label = hashlib.sha256(f"{folder} {context}".encode()).hexdigest()[:12]
    return EngineSettings(
        model_path=str(folder),
        served_name=model.served_name,
        socket_path=_socket_path(settings.folder, f"{label}-{os.getpid()}"),
        log_path=settings.folder / "logs" / f"engine-{label}.log",
        program=settings.engine,
        max_model_len=context,
        max_num_seqs=settings.engine_concurrency,
        behaviour=settings.scripted_behaviour,
    )


async def _started(settings: EngineSettings) -> Engine:
    """A new server; one that ended before it was up, as when it was killed, gets one more chance."""
    try:
        return await start_engine(settings)
    except EngineFailed as error:
        _log.warning("starting it once more: %s", error)
        return await start_engine(settings)


def folder_of(model: ModelRecord) -> Path:
    """The model's folder; raises RunFailed where there is none."""
    if model.path is None:
        raise RunFailed(f"model {model.name!r} is an endpoint; this needs a model folder: register one with `path`")
    folder = Path(model.path)
    if not (folder / "config.json").is_file():
        raise RunFailed(
            f"model {model.name!r}: there is no model folder {model.path!r} (no config.json) on this machine; "
            "put it there, or register the model with another path"
        )
    return folder


def _socket_path(home: Path, name: str) -> Path:
    path = home / "sockets" / f"{name}.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    label = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"charter-{os.getuid()}-{label}" / f"{name}.sock"


def remote_endpoint(model: ModelRecord) -> Endpoint:
    """Where to ask a model that somebody else serves. Raises RunFailed where its key is not in the environment."""
    return Endpoint(model.served_name, without_v1(model.url or ""), api_key=_secret(model))


def without_v1(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


def _secret(model: ModelRecord) -> str | None:
    if model.api_key_env is None:
        return None
    secret = os.environ.get(model.api_key_env)
    if secret is None:
        raise RunFailed(
            f"model {model.name!r} takes its key from ${model.api_key_env}, which the service does not have; "
            "set it and start the service again, then resume the run"
        )
    return secret

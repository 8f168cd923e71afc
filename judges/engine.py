"""A managed model server: start it on a private Unix socket, wait until it is well, stop it, and leave nothing behind.

The program is vLLM or, for tests and for trying the service without one, the scripted server. Both run behind
`judges.guard`. The socket lies in a folder of mode 0700 and there is no TCP listener, since vLLM's API key does not
guard all its routes. Left out: which models to serve and when to start again (service/engines.py).
"""

import asyncio
import contextlib
import importlib.metadata
import os
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from judges.errors import EngineFailed
from judges.replicas import Endpoint

_LONGEST_SOCKET_PATH = 107  # bytes, sun_path of unix(7)
_TAIL_LINES, _TAIL_BYTES = 40, 8000
_STOP_S = 10.0
_DYING_S = 2.0
_FEW_CORES = 2
# What torchrun and its kind tell each process that they start.
_A_LAUNCHERS = re.compile(
    r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|GROUP_WORLD_SIZE|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_.*"
)
_GUARD = Path(__file__).with_name("guard.py")
_SERVER = Path(__file__).with_name("vllm_server.py")
_ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What to serve and where. `log_path` is overwritten; `behaviour` is the scripted server's file.

    Raise `max_num_seqs` and `kv_cache_gib` on a machine with more memory; `extra_args` go to vLLM as they are.
    `reloadable` opens vLLM's development routes, for an engine that one trainer leases (training/engine_sampler.py).
    `gpu` is the one that it takes, as CUDA_VISIBLE_DEVICES names it; empty for those that this process sees.
    `wide_head` computes logits in float32, which verdicts need; without, a CPU samples 1.6 times as fast in bf16.
    """

    model_path: str
    served_name: str
    socket_path: Path
    log_path: Path
    program: Literal["vllm", "scripted"] = "vllm"
    max_model_len: int = 4096
    max_num_seqs: int = 128
    kv_cache_gib: int = 2
    gpu_memory_share: float = 0.85
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpu: str = ""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    start_timeout_s: float = 300.0
    python: str = sys.executable
    behaviour: Path | None = None
    reloadable: bool = False
    wide_head: bool = True
    extra_args: tuple[str, ...] = ()


class Engine:
    """A running model server. `pid` is its guard's: signals go there."""

    def __init__(self, settings: EngineSettings, guard: Process) -> None:
        self._settings = settings
        self._guard = guard
        self.pid = guard.pid
        self.log_path = settings.log_path
        self.endpoint = Endpoint(model=settings.served_name, uds=str(settings.socket_path))

    def alive(self) -> bool:
        """True while its processes run; `client.models()` tells whether it also answers."""
        return self._guard.returncode is None

    async def wait(self) -> int:
        """Return its exit status once it has ended."""
        return await self._guard.wait()

    async def stop(self) -> None:
        """End it and everything it started; returns when all is gone. May be called twice."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                self._guard.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._guard.wait(), _STOP_S)
        except TimeoutError:
            self._guard.kill()  # its witness ends the server
            await self._guard.wait()
        self._settings.socket_path.unlink(missing_ok=True)


async def start_engine(settings: EngineSettings) -> Engine:
    """Start a server and wait until it is healthy; raises EngineFailed with the tail of its log."""
    await _prepare_socket(settings)
    settings.log_path.parent.mkdir(parents=True, exist_ok=True)
    with settings.log_path.open("wb") as log:
        guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(_GUARD), "--", *server_command(settings)),
            stdin=PIPE,  # its end tells the guard that we are gone
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=server_environment(settings),
        )
    engine = Engine(settings, guard)
    try:
        await _wait_until_healthy(engine, settings)
    except BaseException:
        await engine.stop()
        raise
    return engine


@contextlib.asynccontextmanager
async def running_engine(settings: EngineSettings) -> AsyncIterator[Engine]:
    """A server until the block ends. Raises EngineFailed."""
    engine = await start_engine(settings)
    try:
        yield engine
    finally:
        await engine.stop()


async def start_scripted(
    socket_path: Path, log_path: Path, *, model: str = "scripted", behaviour: Path | None = None
) -> Engine:
    """The scripted server as an engine: same interface, no weights."""
    settings = EngineSettings(
        model_path="",
        served_name=model,
        socket_path=socket_path,
        log_path=log_path,
        program="scripted",
        behaviour=behaviour,
    )
    return await start_engine(settings)


def log_tail(path: Path) -> str:
    """The last lines of a log, at most 40 and 8 kB."""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = log.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


def server_command(settings: EngineSettings) -> list[str]:
    """The server's command line."""
    where = ["--uds", str(settings.socket_path)]
    if settings.program == "scripted":
        behaviour = ["--behaviour", str(settings.behaviour)] if settings.behaviour else []
        return [sys.executable, "-m", "judges.scripted", *where, "--model", settings.served_name, *behaviour]
    command = [
        *(settings.python, str(_SERVER)),
        *("--model", settings.model_path, "--served-model-name", settings.served_name, *where),
        *("--max-model-len", str(settings.max_model_len), "--max-num-seqs", str(settings.max_num_seqs)),
        *("--generation-config", "vllm", "--enable-prefix-caching"),
        *("--disable-uvicorn-access-log", "--disable-fastapi-docs"),
    ]
    if settings.wide_head:
        # Logits in bfloat16 make false ties between A and B (docs/judging.md, Precision).
        command += ["--hf-overrides", '{"head_dtype": "float32"}']
    dtype = cpu_dtype(Path("/proc/cpuinfo")) if settings.dtype == "auto" and on_cpu(settings) else settings.dtype
    command += ["--dtype", dtype]
    if on_cpu(settings):
        # Blocks of 32 tokens, not 128: most prompts are shorter than that and would share nothing in the prefix cache.
        command += ["--enforce-eager", "--block-size", "32"]
        if _few_cores():
            # A worker process of its own pins threads to cores: here it only takes as long to start as the engine.
            command += ["--distributed-executor-backend", _ONE_PROCESS]
    else:
        command += ["--gpu-memory-utilization", str(settings.gpu_memory_share)]
    return [*command, *settings.extra_args]


def server_environment(settings: EngineSettings) -> dict[str, str]:
    """Ours, without telemetry and look-ups in the network, and without a launcher's: the server is none of its ranks,
    and would wait for them."""
    environment = {name: value for name, value in os.environ.items() if not _A_LAUNCHERS.fullmatch(name)}
    # Without its compiled modules cached, vLLM's imports alone take half a minute.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if settings.gpu:
        environment["CUDA_VISIBLE_DEVICES"] = settings.gpu
    # Whoever reaches these routes can load any weights: the private socket is what keeps others out.
    environment["VLLM_SERVER_DEV_MODE"] = "1" if settings.reloadable else "0"
    if settings.program == "vllm" and on_cpu(settings):
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(settings.kv_cache_gib)
        # Else the first log-probability asked for has a kernel compiled: without a C++ compiler vLLM dies of it.
        environment.setdefault("TORCHDYNAMO_DISABLE", "1")
        if _few_cores():
            # Else vLLM takes one thread, and leaves the other core to its scheduler.
            environment.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
            # Threads that wait awake starve the scheduler on the same cores; threads asleep wake late: wait a little.
            environment.setdefault("GOMP_SPINCOUNT", "10000")
    return environment


def on_cpu(settings: EngineSettings) -> bool:
    """`auto` is a CPU where vLLM's CPU build is installed, or where there is no GPU."""
    if settings.device != "auto":
        return settings.device == "cpu"
    if any(importlib.metadata.distributions(name="vllm-cpu")):
        return True
    return not has_gpu()


def has_gpu() -> bool:
    """Whether there is an NVIDIA device file, or WSL's."""
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))


def cpu_dtype(cpuinfo: Path) -> Literal["bfloat16", "float32"]:
    """bfloat16 where the CPU multiplies it in hardware; elsewhere it is emulated, 4 times slower than float32."""
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


def _few_cores() -> bool:
    return (os.cpu_count() or 1) <= _FEW_CORES


async def _prepare_socket(settings: EngineSettings) -> None:
    """Make the folder and clear what a killed server left; one that was just killed gets a moment to go."""
    path = settings.socket_path
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise EngineFailed(f"the socket path {str(path)!r} is longer than 107 bytes; choose a shorter home folder")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    deadline = time.monotonic() + _DYING_S
    while _listens(path):
        if time.monotonic() > deadline:
            raise EngineFailed(f"another server listens on {str(path)!r}; stop it or choose another socket path")
        await asyncio.sleep(0.1)
    path.unlink(missing_ok=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def _wait_until_healthy(engine: Engine, settings: EngineSettings) -> None:
    deadline = time.monotonic() + settings.start_timeout_s
    what, log = f"{settings.program} for {settings.served_name!r}", settings.log_path
    transport = httpx.AsyncHTTPTransport(uds=str(settings.socket_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=5.0) as http:
        while engine.alive():
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/health")).status_code == 200:
                    return
            if time.monotonic() > deadline:
                said = (
                    f"{what} was not up after {settings.start_timeout_s:g} s; raise start_timeout_s. {log.name} ends:"
                )
                raise EngineFailed(said, log_tail(log))
            await asyncio.sleep(0.1)
    said = f"{what} ended with status {await engine.wait()} before it was up; mend what its log {log.name} says:"
    raise EngineFailed(said, log_tail(log))

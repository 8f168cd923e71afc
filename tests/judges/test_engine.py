"""The managed engine with the scripted program: sockets, logs, failures. The same with vLLM is in tests/e2e."""

import os
import signal
import socket
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from judges.client import ChatClient
from judges.engine import (
    EngineSettings,
    cpu_dtype,
    log_tail,
    server_command,
    server_environment,
    start_engine,
    start_scripted,
)
from judges.errors import EngineFailed
from judges.records import Message
from judges.wire import ChatRequest


def settings(folder: Path, **more) -> EngineSettings:
    return EngineSettings("", "m", folder / "m.sock", folder / "m.log", program="scripted", **more)


async def test_it_starts_answers_and_stops(sockets):
    engine = await start_scripted(sockets / "m.sock", sockets / "m.log", model="m")
    async with ChatClient([engine.endpoint]) as client:
        assert (await client.chat([Message("user", "hi")], request=ChatRequest(4))).text
    assert engine.alive()
    await engine.stop()
    assert not engine.alive()
    assert not (sockets / "m.sock").exists()
    await engine.stop()


async def test_the_socket_is_private(sockets):
    engine = await start_scripted(sockets / "in" / "m.sock", sockets / "m.log")
    try:
        assert stat.S_IMODE((sockets / "in" / "m.sock").stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE((sockets / "in").stat().st_mode) == 0o700
    finally:
        await engine.stop()


async def test_it_starts_over_the_socket_of_a_killed_server(sockets):
    engine = await start_scripted(sockets / "m.sock", sockets / "m.log")
    os.kill(engine.pid, signal.SIGKILL)
    await engine.wait()
    assert (sockets / "m.sock").exists()
    again = await start_scripted(sockets / "m.sock", sockets / "m.log")
    assert again.alive()
    await again.stop()


async def test_it_does_not_take_a_live_servers_socket(sockets):
    engine = await start_scripted(sockets / "m.sock", sockets / "m.log")
    try:
        with pytest.raises(EngineFailed, match="another server listens"):
            await start_scripted(sockets / "m.sock", sockets / "other.log")
        assert engine.alive()
    finally:
        await engine.stop()


async def test_a_failed_start_shows_the_end_of_the_log(sockets):
    bad = sockets / "behaviour.json"
    bad.write_text('{"tast": "shorter"}')
    with pytest.raises(EngineFailed, match="unknown key 'tast'") as caught:
        await start_scripted(sockets / "m.sock", sockets / "m.log", behaviour=bad)
    assert "ended with status 1 before it was up" in str(caught.value)
    assert "tast" in caught.value.log_tail


async def test_a_program_that_is_not_there(sockets):
    with pytest.raises(EngineFailed, match="No such file"):
        await start_engine(EngineSettings("", "m", sockets / "m.sock", sockets / "m.log", python="/no/python"))


async def test_a_server_that_never_gets_well_is_stopped(sockets):
    """A python that swallows its arguments and sleeps: never healthy, and gone afterwards."""
    sleeper = sockets / "sleeper"
    sleeper.write_text(f"#!{sys.executable}\nimport os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(600)\n")
    sleeper.chmod(0o700)
    with pytest.raises(EngineFailed, match=r"was not up after 1 s.*\n.*pid") as caught:
        await start_engine(
            EngineSettings("", "m", sockets / "m.sock", sockets / "m.log", python=str(sleeper), start_timeout_s=1.0)
        )
    assert not Path(f"/proc/{caught.value.log_tail.split()[1]}").exists()


async def test_a_long_socket_path_is_refused(sockets):
    with pytest.raises(EngineFailed, match="107 bytes"):
        await start_scripted(sockets / ("x" * 120), sockets / "m.log")


async def test_a_stale_file_that_is_no_socket_is_replaced(sockets):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(sockets / "m.sock"))
    engine = await start_scripted(sockets / "m.sock", sockets / "m.log")
    assert engine.alive()
    await engine.stop()


def test_vllm_listens_on_no_port_and_sends_nothing_home(sockets):
    vllm = EngineSettings("/models/m", "m", sockets / "m.sock", sockets / "m.log", device="cpu")
    command, environment = server_command(vllm), server_environment(vllm)
    assert "--port" not in command and "--host" not in command
    assert command[command.index("--uds") + 1] == str(sockets / "m.sock")
    assert environment["VLLM_NO_USAGE_STATS"] == environment["HF_HUB_OFFLINE"] == "1"
    assert "VLLM_SERVER_DEV_MODE" not in command
    # Nothing is compiled on a CPU: a machine with Python alone has no compiler.
    assert environment["TORCHDYNAMO_DISABLE"] == "1" and "--enforce-eager" in command
    assert "TORCHDYNAMO_DISABLE" not in server_environment(replace(vllm, device="cuda")).keys() - os.environ.keys()


def test_a_server_is_no_rank_of_the_launchers_that_started_its_trainer(sockets, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    before = dict(os.environ)
    vllm = EngineSettings("/models/m", "m", sockets / "m.sock", sockets / "m.log", gpu="5")
    environment = server_environment(vllm)
    assert environment["CUDA_VISIBLE_DEVICES"] == "5"
    assert not [
        name for name in environment if "RANK" in name or "WORLD" in name or "MASTER" in name or "ELASTIC" in name
    ]
    assert before.keys() - environment.keys() >= {"RANK", "MASTER_PORT"} and os.environ["RANK"] == "1"


def test_logits_are_wide_unless_no_verdict_is_read_from_them(sockets):
    judge = EngineSettings("/models/m", "m", sockets / "m.sock", sockets / "m.log", device="cpu")
    assert '{"head_dtype": "float32"}' in server_command(judge)
    assert "--hf-overrides" not in server_command(replace(judge, wide_head=False))


def test_the_dtype_follows_the_cpu(tmp_path):
    (tmp_path / "new").write_text("flags : fpu avx512f avx512_bf16 amx_bf16\n")
    (tmp_path / "old").write_text("flags : fpu avx2 avx512f\n")
    assert cpu_dtype(tmp_path / "new") == "bfloat16"
    assert cpu_dtype(tmp_path / "old") == "float32"
    assert cpu_dtype(tmp_path / "none") == "float32"


def test_the_log_tail_is_bounded(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % i for i in range(5000)))
    assert log_tail(log).splitlines() == [f"line {i}" for i in range(4960, 5000)]

"""Where Ray is installed: a job sent once to a cluster of this machine, and a worker that is killed while it trains."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from training.configs import DpoConfig, config_from
from training.dpo import train_dpo
from training.on_ray import SETTINGS

from .test_on_ray import written
from .test_stopping import different
from .test_training import ROOT, dpo_config, settings, steps

pytest.importorskip("ray", reason="Ray is not installed: CHARTER_EXTRAS=train,test,ray installs it")
_WAIT_S = 120.0


def wait_for(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _WAIT_S
    while not true():
        assert time.monotonic() < end, f"no {what} within {_WAIT_S:.0f} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a cluster's Ray Jobs, and the environment in which its token is known."""
    port, token = free_port(), secrets.token_hex(32)
    bin = Path(sys.executable).parent
    known = {
        **os.environ, **SETTINGS, "RAY_AUTH_TOKEN": token, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path),
        "PATH": f"{bin}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [
        *(str(bin / "ray"), "start", "--head", "--block", "--num-cpus", "3", "--port", str(free_port())),
        *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(port), "--include-dashboard", "true"),
    ]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "head.log").open("wb") as log:
        head = subprocess.Popen(command, env=known, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)

        def answers() -> bool:
            assert head.poll() is None, (tmp_path / "head.log").read_text()[-3000:]
            try:
                found = httpx.get(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError:
                return False
            return found.status_code == 200

        try:
            wait_for(answers, "answer of Ray Jobs")
            yield address, known
        finally:
            head.send_signal(signal.SIGTERM)  # it ends what it started
            head.wait(_WAIT_S)


def send(address: str, environment: dict[str, str], config: Path, name: str) -> subprocess.CompletedProcess[str]:
    words = ["dpo", str(config), "--workers", "2", "--submit", address, "--id", name]
    return subprocess.run(
        [sys.executable, "-m", "training.on_ray", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip


def test_a_job_is_sent_once_under_its_name_and_followed(
    tmp_path: Path, tiny: Path, cluster: tuple[str, dict[str, str]]
):
    address, known = cluster
    values = settings(tmp_path / "sent", tiny, different(13))
    config = written(tmp_path, values)
    first = send(address, known, config, "run-1")
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    result = next(json.loads(line) for line in first.stdout.splitlines() if '"type": "result"' in line)
    one = dpo_config(tmp_path / "one", tiny, rows=different(13))
    train_dpo(one)
    trained = config_from(values, DpoConfig, "test")
    assert result["steps"] == len(steps(trained)) == len(steps(one))
    for ours, theirs in zip(steps(one), steps(trained), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)

    # The same name again: the job that has it is followed, and nothing is trained.
    before = (trained.output / "metrics.jsonl").stat().st_mtime_ns
    again = send(address, known, config, "run-1")
    assert again.returncode == 0 and '"type": "result"' in again.stdout
    assert (trained.output / "metrics.jsonl").stat().st_mtime_ns == before

    # One that ends in an error says so, as the command itself does; a stranger's token opens nothing.
    missing = written(tmp_path / "sent", values | {"rows": str(tmp_path / "none.jsonl"), "output": str(tmp_path / "n")})
    failed = send(address, known, missing, "run-2")
    assert failed.returncode == 2 and "job 'run-2' is FAILED" in failed.stderr and "none.jsonl" in failed.stdout
    stranger = send(address, {**known, "RAY_AUTH_TOKEN": secrets.token_hex(32)}, config, "run-3")
    assert stranger.returncode not in (0, 3) and "run-3" not in stranger.stdout


def training_workers(home: Path) -> list[int]:
    """The processes of Ray's workers that train for this test, told by its home folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:  # it has ended, or is another user's
                continue
            if title.startswith(b"ray::") and b"TrainWorker" in title and f"HOME={home}\0".encode() in environment:
                found.append(int(folder.name))
    return found


def test_a_killed_worker_goes_on_from_the_last_checkpoint(tmp_path: Path, tiny: Path):
    more = {"epochs": 40, "checkpoint_every_steps": 10}
    one = dpo_config(tmp_path / "one", tiny, rows=different(13), **more)
    train_dpo(one)
    values = settings(tmp_path / "two", tiny, different(13)) | more
    trained = config_from(values, DpoConfig, "test")
    log = (tmp_path / "run.log").open("w+")
    run = subprocess.Popen(
        [sys.executable, "-m", "training.on_ray", "dpo", str(written(tmp_path, values)), "--workers", "2"],
        cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )  # fmt: skip
    with log:
        metrics = trained.output / "metrics.jsonl"
        wait_for(lambda: run.poll() is not None or (metrics.exists() and len(steps(trained)) > 25), "25th step")
        killed = training_workers(tmp_path)
        assert run.poll() is None and killed, "the run ended before a worker could be killed"
        os.kill(killed[0], signal.SIGKILL)
        assert run.wait(300) == 0, Path(log.name).read_text()[-3000:]
    # No step is lost or taken twice. Rounding drifts apart over many, so that only the first ones are compared.
    assert [line["step"] for line in steps(trained)] == list(range(1, len(steps(one)) + 1))
    for ours, theirs in zip(steps(one)[:12], steps(trained)[:12], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)

"""The real service as a child of the demo: started, waited for, and ended by its process id.

Left out: everything it does. The demo talks to it as any client would.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from judges.guard import die_with_parent
from service.demo.errors import DemoError

READY_WITHIN_S = 90.0
STOP_GRACE_S = 15.0
_POLL_S = 0.2
# Where the user's own service keeps its data and who may call it: nothing for a service with a folder of its own.
_NOT_OURS = ("CHARTER_DATABASE_URL", "CHARTER_ARTIFACTS_URL", "CHARTER_ALLOWED_HOSTS", "CHARTER_WORKER")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the child keeps its data and which loopback port it takes; port 0 means any free one.

    `command` starts it; it reads CHARTER_HOME, CHARTER_HOST and CHARTER_PORT. It inherits the files `held_open`.
    It is killed when we are, unless it `outlives` us.
    """

    home: Path
    port: int = 0
    held_open: tuple[int, ...] = ()
    outlives: bool = False
    command: tuple[str, ...] = (sys.executable, "-m", "service.serve")


class ServiceProcess:
    """A running service. `url` is where it listens, `log` what it wrote."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path, key_file: Path) -> None:
        self._process = process
        self._key_file = key_file
        self.url = url
        self.log = log

    @property
    def pid(self) -> int:
        """Its process id, which leads a session of its own."""
        return self._process.pid

    def wait_until_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Return once /readyz answers 200; raises DemoError with the log's tail when it ends or takes too long."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise DemoError(f"the service ended with status {self._process.returncode}:\n{self.log_tail()}")
            if _answers(f"{self.url}/readyz"):
                return
            time.sleep(_POLL_S)
        raise DemoError(f"the service was not ready after {within_s:.0f} s:\n{self.log_tail()}")

    def api_key(self) -> str:
        """The key that the service made at its first start and left in a file for us."""
        try:
            return self._key_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise DemoError(f"the service left no API key ({error.strerror}):\n{self.log_tail()}") from error

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the service's log, then those of the newest engine or trainer log beside it."""
        newest = sorted(self.log.parent.rglob("*.log"), key=lambda path: path.stat().st_mtime)[-2:]
        return "\n".join(f"--- {path}\n{_tail(path, lines)}" for path in newest)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """SIGTERM, and SIGKILL to its session when it has not ended after the grace. Safe to call twice."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(grace_s)
        finally:
            # What the service started sits in its session or dies with it; nothing of it may outlive the demo, not
            # even when a second Ctrl-C cuts the grace short.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def start_service(settings: ServiceSettings) -> ServiceProcess:
    """Start the service on loopback with a data folder of its own."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = settings.port or free_port()
    log, key_file = settings.home / "service.log", settings.home / "api-key"
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS} | {
        "CHARTER_HOME": str(settings.home),
        "CHARTER_HOST": "127.0.0.1",
        "CHARTER_PORT": str(port),
        "CHARTER_FIRST_KEY_FILE": str(key_file),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(settings.command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=settings.held_open,
            preexec_fn=None if settings.outlives else die_with_parent,
            start_new_session=True,  # the terminal's Ctrl-C reaches the demo alone, which then stops the service
        )
    return ServiceProcess(process, f"http://127.0.0.1:{port}", log, key_file)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _tail(path: Path, lines: int) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64_000))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])

"""Whoever is killed with SIGKILL, nothing of the server is left. Real processes, no vLLM (that is in tests/e2e)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from judges.guard import session_members

GUARD = Path(__file__).parents[2] / "judges" / "guard.py"
# Like vLLM: a server with an engine process that ignores SIGTERM, has its own process group and outlives it.
SERVER = """
import os, signal, subprocess, sys, time
engine = subprocess.Popen([sys.executable, "-c", '''
import os, signal, time
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", os.getpid(), os.getppid(), flush=True)
time.sleep(600)
'''])
time.sleep(600)
"""
PARENT = """
import subprocess, sys, time
guard = subprocess.Popen([sys.executable, "-I", sys.argv[1], "--", sys.executable, "-c", sys.argv[2]],
                         stdin=subprocess.PIPE, start_new_session=True)
print("guard", guard.pid, flush=True)
time.sleep(600)
"""


class Family:
    """A parent, its guard, the guard's witness, a server and the server's engine, all running."""

    def __init__(self) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(GUARD), SERVER], stdout=subprocess.PIPE, text=True
        )
        assert self.popen.stdout
        lines = sorted(self.popen.stdout.readline().split() for _ in range(2))
        self.parent = self.popen.pid
        self.guard = int(lines[0][1])
        self.engine, self.server = int(lines[1][1]), int(lines[1][2])
        (self.witness,) = (p for p in children_of(self.guard) if p != self.server)

    def all_gone(self) -> bool:
        """Waits for it; only a hang makes this slow."""
        for _ in range(400):
            left = [p for p in (self.guard, self.witness, self.server, self.engine) if is_running(p)]
            if not left and not session_members(self.server):
                return True
            time.sleep(0.02)
        return False

    def close(self) -> None:
        for pid in (self.parent, self.guard, self.witness, self.server, self.engine):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait()
        assert self.popen.stdout
        self.popen.stdout.close()


@pytest.fixture
def family():
    family = Family()
    yield family
    family.close()


def children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("victim", ["parent", "guard", "witness", "server", "engine"])
def test_kill_9_of_one_ends_the_rest(family, victim):
    pid = getattr(family, victim)
    os.kill(pid, signal.SIGKILL)
    if victim == "engine":  # its server notices in vLLM; here it would sleep on
        os.kill(family.server, signal.SIGKILL)
    assert family.all_gone()


def test_sigterm_is_a_clean_stop(family):
    os.kill(family.guard, signal.SIGTERM)
    assert family.all_gone()
    assert is_running(family.parent)


def test_a_stopped_guard_does_not_shield_the_server_from_its_death(family):
    os.kill(family.guard, signal.SIGSTOP)
    os.kill(family.guard, signal.SIGKILL)
    assert family.all_gone()


def test_the_exit_status_is_the_servers():
    def status(code: str) -> int:
        with subprocess.Popen(
            [sys.executable, GUARD, "--", sys.executable, "-c", code], stdin=subprocess.PIPE
        ) as guard:
            return guard.wait()

    assert status("raise SystemExit(3)") == 3
    assert status("import os; os.kill(os.getpid(), 9)") == 137

"""A process between us and a model server, so that nothing of the server outlives us: plain standard library, Linux.

    python judges/guard.py -- COMMAND ...      with a pipe as stdin that only the parent holds open

Whoever is killed with SIGKILL, the rest goes too:
- the parent: the guard's stdin ends, or its parent process changes; it kills the server's session;
- the server: the guard sees it end and kills what is left of its session (vLLM's engine and workers outlive it);
- the guard: a witness (a fork of it) sees its pipe end and kills the session; the server itself dies by PDEATHSIG;
- the witness: the guard sees that and ends everything.
SIGTERM to the guard is the clean stop: SIGTERM to the server, SIGKILL to its session after a grace.
Its exit status is the server's (128 + n for a signal). Left out: when to start it again (engine.py's callers).
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP_GRACE_S = 2.5
_POLL_S = 0.25
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)  # opened here: after a fork only simple calls are safe


def main() -> int:
    command = sys.argv[sys.argv.index("--") + 1 :]
    parent = os.getppid()
    os.umask(0o077)  # the socket is for this user alone
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the server orphans becomes ours, and is reaped
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent)
    witness, watched = _fork_witness(server.pid)
    code = None
    while code is None and not stopping and not _parent_is_gone(parent) and not _has_ended(witness):
        code = server.poll()
    if code is None:
        code = _stop(server, gently=bool(stopping))
    kill_session(server.pid)
    os.write(watched, b"done")
    os.close(watched)
    return code if code >= 0 else 128 - code


def kill_session(leader: int) -> None:
    """SIGKILL every process of a session, until there is none."""
    while members := session_members(leader):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        time.sleep(0.02)


def session_members(leader: int) -> tuple[int, ...]:
    """The living processes whose session is `leader`, read from /proc; zombies do not count."""
    members = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # The name in brackets may hold anything: state, ppid, pgrp and session follow its last bracket.
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == leader and state not in "ZX":
                    members.append(int(folder.name))
    return tuple(members)


def _stop(server: "subprocess.Popen[bytes]", *, gently: bool) -> int:
    if gently:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return server.wait(STOP_GRACE_S)
    server.kill()
    return server.wait()


def _fork_witness(session: int) -> tuple[int, int]:
    """Fork the witness; returns its pid and the end of the pipe whose closing tells it that the guard is gone."""
    heard, watched = os.pipe()
    witness = os.fork()
    if witness:
        os.close(heard)
        return witness, watched
    os.close(watched)
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Do not hold the parent's pipe or the log open.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if os.read(heard, 4) != b"done":
        kill_session(session)
    os._exit(0)


def _parent_is_gone(parent: int) -> bool:
    """Waits a little for news from stdin: nothing is ever written there, so being readable means it has ended."""
    try:
        readable, _, _ = select.select([0], [], [], _POLL_S)
    except InterruptedError:
        return False
    return bool(readable) or os.getppid() != parent


def _has_ended(child: int) -> bool:
    pid, _ = os.waitpid(child, os.WNOHANG)
    return pid == child


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def die_with_parent() -> None:
    """For `preexec_fn`: SIGKILL this child when the *thread* that started it ends, so start it from a lasting one."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    _LIBC.prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())

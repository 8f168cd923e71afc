"""Several ranks without a launcher: forks of the test's own process, which has everything imported already."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from constitutions.errors import CharterError
from training.ranks import joined_ranks

_FORK = multiprocessing.get_context("fork")
Found = TypeVar("Found")


class Started:
    """So many ranks at work on one job; what each of them came to is asked for at the end."""

    def __init__(self, world: int, job: Callable[[], object]) -> None:
        port = free_port()
        self.processes: list[BaseProcess] = []
        self._ends: list[Connection] = []
        for rank in range(world):
            ours, theirs = _FORK.Pipe(duplex=False)
            variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1"}
            names = {name: str(value) for name, value in (variables | {"MASTER_PORT": port}).items()}
            process = _FORK.Process(target=_work, args=(job, names, theirs), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self._ends.append(ours)

    def found(self, timeout_s: float = 60.0) -> list[object]:
        """What each rank's job returned, or its error's words. Ranks that hang are killed, and are a TimeoutError."""
        with ExitStack() as left:
            for process in self.processes:
                left.callback(process.join)
                left.callback(process.kill)
            came: list[object] = []
            for end, process in zip(self._ends, self.processes, strict=True):
                if not end.poll(timeout_s):
                    raise TimeoutError(f"rank {len(came)} of {len(self.processes)} says nothing")
                try:
                    came.append(end.recv())
                except EOFError:
                    process.join(timeout_s)
                    came.append(f"killed by {-(process.exitcode or 0)}")
            return came


def in_ranks(world: int, job: Callable[[], Found]) -> list[Found]:
    """What each of so many ranks returned. An error of one is an AssertionError."""
    came = Started(world, job).found()
    assert not [one for one in came if isinstance(one, str)], came
    return came  # type: ignore[return-value]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _work(job: Callable[[], object], variables: dict[str, str], end: Connection) -> None:
    os.environ |= variables
    try:
        with joined_ranks():
            end.send(job())
    except CharterError as error:
        end.send(f"{type(error).__name__}: {error}")
    except BaseException:
        end.send(traceback.format_exc())
        raise

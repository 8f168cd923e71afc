"""Child processes of a run: they die with the worker, a cancelled run ends them within three seconds, and one that
something killed is run again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import training
from judges.guard import die_with_parent, kill_session

GRACE_S = 3.0
MOST_DEATHS_WITHOUT_PROGRESS = 3
_LONGEST_LINE_BYTES = 1 << 20
_PACKAGES = Path(training.__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its exit status, negative for a signal, and the last line it wrote on stderr."""

    status: int
    complaint: str


# What runs `python -m training ARGUMENTS` as `run_training` says; a worker's is that one.
RunTraining = Callable[[Sequence[str], Path, Callable[[str], Awaitable[None]]], Awaitable[Ended]]


async def run_training(arguments: Sequence[str], log: Path, on_line: Callable[[str], Awaitable[None]]) -> Ended:
    """Run `python -m training ARGUMENTS` and hand every line of its stdout to `on_line`; stderr goes to `log`.

    Call it from the event loop's own thread, which must last as long as the child: its death would kill the child.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # A pipe of our own: the library's would make `wait()` wait for whoever else holds the child's stdout.
    heard, told = os.pipe()
    lines = os.fdopen(heard, "rb", buffering=0)
    try:
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "training", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=told,
                stderr=errors,
                env=_environment(),
                cwd=log.parent,
                preexec_fn=die_with_parent,
                start_new_session=True,
            )
    finally:
        os.close(told)
    reading = asyncio.create_task(_read(lines, on_line))
    ending = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading  # raises what `on_line` raised
        await ending
        await asyncio.to_thread(kill_session, process.pid)  # whoever it left behind holds the pipe open
        await reading
    finally:
        reading.cancel()
        await _end(process)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Ended(process.returncode or 0, said[-1] if said else "")


async def run_again_when_killed(
    run: Callable[[], Awaitable[Ended]], furthest: Callable[[], int], on_death: Callable[[int], Awaitable[None]]
) -> Ended:
    """Run a child until it ends by itself, or was killed four times without getting any further than before.

    `furthest` counts what is done and kept; `on_death` is told the signal before the child is run again.
    """
    deaths = 0
    while True:
        before = furthest()
        ended = await run()
        if ended.status >= 0:
            return ended
        deaths = deaths + 1 if furthest() == before else 1
        if deaths > MOST_DEATHS_WITHOUT_PROGRESS:
            return ended
        await on_death(-ended.status)


async def _read(lines: FileIO, on_line: Callable[[str], Awaitable[None]]) -> None:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, lines)
    try:
        async for line in reader:
            await on_line(line.decode("utf-8", errors="replace").rstrip("\n"))
    finally:
        transport.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL to all of its session, even where we are cancelled meanwhile."""
    try:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_S)
    finally:
        await asyncio.shield(asyncio.to_thread(kill_session, process.pid))
    await process.wait()


def _environment() -> dict[str, str]:
    """Ours, with our packages importable from any folder, and without look-ups in the network."""
    path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH", ""))))
    return dict(os.environ) | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

"""The folder that the demo writes: held by one demo at a time, and never emptied of what an earlier one brought.

Left out: what is written there. `demo.py` does that, under the names listed here.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from service.demo.errors import DemoError

LOCK = "service.lock"
EARLIER = "earlier"
SERVICE = "service"
_UNFINISHED = ".unfinished"
BUNDLE, SUMMARY, NEXT_RUN = "adapter.tar.gz", "summary.json", "next-run.yaml"
_UNPACKED = (
    "adapter",
    "README.md",
    "constitution.yaml",
    "manifest.json",
    "metrics.jsonl",
    "report.html",
    "report.json",
    "try_adapter.json",
)
# All that a demo writes. What tells a finished one is moved last, so that a move cut short is taken up again.
_WRITTEN = (SERVICE, NEXT_RUN, *_UNPACKED, BUNDLE, SUMMARY)


@contextmanager
def out_folder_held(out: Path) -> Iterator[int]:
    """One demo, or one service that it kept, per folder. The service inherits the lock, so it holds while it lives."""
    _make_or_refuse(out)
    lock = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock_or_refuse(lock, out)
        yield lock
    finally:
        os.close(lock)


def set_aside_results(out: Path) -> Path | None:
    """Move what an earlier demo brought into a folder of its own and return that; None where there was nothing.

    An earlier demo that was cut short before its adapter came leaves nothing of worth: that is removed.
    """
    finished = next((out / name for name in (SUMMARY, BUNDLE) if (out / name).is_file()), None)
    if finished is None:
        # Moved before it is removed: a server that was just killed may still write its last lines there.
        shutil.rmtree(out / _UNFINISHED, ignore_errors=True)
        _move_results(out, out / _UNFINISHED)
        shutil.rmtree(out / _UNFINISHED, ignore_errors=True)
        return None
    made_at = datetime.fromtimestamp(finished.stat().st_mtime)
    folder = out / EARLIER / f"{made_at:%Y-%m-%d_%H-%M-%S}"
    _move_results(out, folder)
    return folder


def _move_results(out: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _WRITTEN:
        if (out / name).exists():
            (out / name).rename(folder / name)


def _lock_or_refuse(lock: int, out: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(lock, 32, 0).decode().strip() or "unknown"
        raise DemoError(
            f"the service of another demo (pid {pid}) works in {out}; end it with `kill {pid}`, or take another "
            "folder with --out"
        ) from error
    os.ftruncate(lock, 0)


def _make_or_refuse(out: Path) -> None:
    """Make the folder. Raises DemoError where it holds something that no demo wrote: our names would overwrite it."""
    if out.exists() and not out.is_dir():
        raise DemoError(f"--out {out}: that is a file; name a folder")
    if out.is_dir() and not (out / LOCK).exists():
        foreign = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
        if foreign:
            raise DemoError(f"--out {out}: it holds {foreign[0]!r} and no earlier demo; name a new or an empty folder")
    out.mkdir(parents=True, exist_ok=True)

"""Files and folders that are complete or absent: written under a temporary name, synced, then renamed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def published_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; on success it becomes `target`, on failure it is removed.

    A `target` that exists already (someone was faster) is kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            sync(path)
        sync(temporary)
        if not target.exists():
            try:
                temporary.rename(target)
            except OSError:
                if not target.exists():
                    raise
            sync(target.parent)
    except Exception as error:
        # safetensors tells the system's error in words only: a full disk must be read as one.
        told = _OS_ERROR.search(str(error))
        if told is None or isinstance(error, OSError):
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(target)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def published_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on failure it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_unfinished(folder: Path) -> None:
    """Remove what a kill left half-written. Only the holder of the folder's lock may call this."""
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

"""Freeing the artifact store and the scratch folder: what no row refers to any more is deleted.

A deleted resource leaves its files behind, since others may share them (they are named by their content). A failed or
cancelled run keeps its scratch (checkpoints, a merged model), with which it can be resumed, until it is deleted. Left
out: the database, which frees itself, and the scratch folders of other machines.
"""

import asyncio
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from service.artifacts import Artifacts
from service.errors import Conflict, ServiceError
from service.schemas import RunStatus
from service.store.references import References
from service.store.store import Store

SETTLE_S = 10.0
_UNFINISHED: tuple[RunStatus, ...] = ("queued", "running", "cancelling")
_RESUMABLE: tuple[RunStatus, ...] = ("failed", "cancelled")
_RUN_ID = re.compile(r"run_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Freed:
    """What was deleted (or would be), and how many files stay. A run's scratch is named `scratch/<run>/`."""

    deleted: tuple[str, ...]
    kept: int


async def collect_garbage(
    store: Store,
    artifacts: Artifacts,
    *,
    scratch: Path | None = None,
    dry_run: bool = False,
    settle_s: float = SETTLE_S,
) -> Freed:
    """Delete unreferenced artifacts, and of `scratch` the folders of runs that are gone or have succeeded.

    Raises Conflict while a run is unfinished: its shards have no row yet. Shards that a failed or cancelled run left
    are freed too; if it is resumed, it makes them again. An upload's file is there before its row: `settle_s` passes
    between listing the files and reading the rows.
    """
    keys = await artifacts.keys()
    # Listed before the rows are read: a run that begins meanwhile is not in the list.
    folders = await asyncio.to_thread(_run_folders, scratch) if scratch is not None else ()
    await asyncio.sleep(settle_s)
    # In one reading: a run that is resumed meanwhile is in one of both.
    runs = await store.runs.in_status((*_UNFINISHED, *_RESUMABLE))
    unfinished = [run for run in runs if run.status in _UNFINISHED]
    if unfinished:
        ids = ", ".join(run.id for run in unfinished[:5])
        raise Conflict(f"runs are unfinished ({ids}); wait for them or cancel them, then collect again")
    kept = kept_keys(keys, await References(store.database).texts())
    deleted = tuple(key for key in keys if key not in kept)
    resumable = {run.id for run in runs}
    spent = tuple(folder for folder in folders if folder.name not in resumable)
    if not dry_run:
        for key in deleted:
            await artifacts.delete(key)
        for folder in spent:
            await asyncio.to_thread(_remove, folder)
    return Freed(deleted=(*deleted, *(f"scratch/{folder.name}/" for folder in spent)), kept=len(kept))


def kept_keys(keys: Iterable[str], referenced: Iterable[str]) -> frozenset[str]:
    """The keys that a text names, itself or as a folder above it."""
    names = {text.rstrip("/") for text in referenced}
    return frozenset(key for key in keys if any(path in names for path in _self_and_folders(key)))


def _run_folders(scratch: Path) -> tuple[Path, ...]:
    """The folders of runs, and nothing else that lies there."""
    found = scratch.iterdir() if scratch.is_dir() else ()
    return tuple(sorted(path for path in found if _RUN_ID.fullmatch(path.name) and not path.is_symlink()))


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise ServiceError(f"{folder} could not be deleted ({error}); mend that, then collect again") from error


def _self_and_folders(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]

"""Freeing the artifact store: what no row refers to any more is deleted.

A deleted resource leaves its files behind, since others may share them (they are named by their content). Left out:
the database, which frees itself, and the scratch folder, which each run empties.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from service.artifacts import Artifacts
from service.errors import Conflict
from service.schemas import RunStatus
from service.store.references import References
from service.store.store import Store

SETTLE_S = 10.0
_UNFINISHED: tuple[RunStatus, ...] = ("queued", "running", "cancelling")


@dataclass(frozen=True, slots=True)
class Freed:
    """What was deleted (or would be), and how many files stay."""

    deleted: tuple[str, ...]
    kept: int


async def collect_garbage(
    store: Store, artifacts: Artifacts, *, dry_run: bool = False, settle_s: float = SETTLE_S
) -> Freed:
    """Delete unreferenced artifacts. Raises Conflict while a run is unfinished: its shards have no row yet.

    Shards that a failed or cancelled run left are freed too; if it is resumed, it makes them again. An upload's file
    is there before its row: `settle_s` passes between listing the files and reading the rows.
    """
    keys = await artifacts.keys()
    await asyncio.sleep(settle_s)
    unfinished = await store.runs.in_status(_UNFINISHED)
    if unfinished:
        ids = ", ".join(run.id for run in unfinished[:5])
        raise Conflict(f"runs are unfinished ({ids}); wait for them or cancel them, then collect again")
    kept = kept_keys(keys, await References(store.database).texts())
    deleted = tuple(key for key in keys if key not in kept)
    if not dry_run:
        for key in deleted:
            await artifacts.delete(key)
    return Freed(deleted=deleted, kept=len(kept))


def kept_keys(keys: Iterable[str], referenced: Iterable[str]) -> frozenset[str]:
    """The keys that a text names, itself or as a folder above it."""
    names = {text.rstrip("/") for text in referenced}
    return frozenset(key for key in keys if any(path in names for path in _self_and_folders(key)))


def _self_and_folders(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]

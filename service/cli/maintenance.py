"""`charter key` and `charter gc`: commands for whoever owns the machine. They open the store itself, not the API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from service.artifacts import Artifacts
from service.gc import SETTLE_S, Freed, collect_garbage
from service.settings import Settings
from service.store.store import Store

keys = typer.Typer(help="API keys.", no_args_is_help=True)
PROJECT = "default"


@keys.callback()
def key() -> None:
    """Keeps `create` a sub-command while it is the only one."""


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for; it is shown in lists.")],
    scope: Annotated[list[str], typer.Option(help="read, write or admin; give it several times.")] = ["read", "write"],  # noqa: B006 - typer's way
) -> None:
    """Make an API key and print it, this once. Reads CHARTER_HOME and CHARTER_DATABASE_URL as the service does.

    Example: `charter key create laptop --scope read --scope write`
    """
    typer.echo(asyncio.run(_create_key(name, tuple(scope))))


def gc(
    dry_run: Annotated[bool, typer.Option(help="Only say what would be deleted.")] = False,
    settle_s: Annotated[float, typer.Option(help="Seconds for uploads under way to be entered.", min=0)] = SETTLE_S,
) -> None:
    """Delete the files of the artifact store that nothing refers to any more, and the scratch of runs that need none.

    Example: `charter gc --dry-run`
    """
    freed = asyncio.run(_collect(dry_run, settle_s))
    for deleted in freed.deleted:
        typer.echo(deleted)
    typer.echo(f"{'would delete' if dry_run else 'deleted'} {len(freed.deleted)} file(s), kept {freed.kept}", err=True)


async def _create_key(name: str, scopes: tuple[str, ...]) -> str:
    async with _opened(Settings()) as store:
        project = await store.access.ensure_project(PROJECT)
        return (await store.access.create_key(project.id, name, scopes)).secret


async def _collect(dry_run: bool, settle_s: float) -> Freed:
    settings = Settings()
    async with _opened(settings) as store:
        return await collect_garbage(
            store, Artifacts(settings.artifacts), scratch=settings.scratch, dry_run=dry_run, settle_s=settle_s
        )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Store]:
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store(settings.database)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()

"""Adapters as full models, by a child process: engines serve merged weights (docs/decisions/0004)."""

from pathlib import Path

from service.engines import folder_of
from service.errors import RunFailed
from service.pipeline.children import Ended, run_again_when_killed
from service.pipeline.context import RunContext
from service.schemas import Stage


async def ensure_merged(context: RunContext, stage: Stage, adapter: Path, folder: Path) -> None:
    """The base with the adapter in `folder`, which is left as it is where it is there already."""
    if folder.exists():
        return
    arguments = ("--model", str(folder_of(context.model)), "--adapter", str(adapter), "--output", str(folder))

    async def ignore(_: str) -> None:
        return

    async def start() -> Ended:
        return await context.tools.run_training(("merge", *arguments), folder.with_name("merge.log"), ignore)

    async def mourn(number: int) -> None:
        await context.warn(stage, f"merging the adapter was killed by signal {number}; it begins again")

    ended = await run_again_when_killed(start, lambda: 0, mourn)
    if ended.status != 0:
        raise RunFailed(f"merging the adapter ended with status {ended.status}: {ended.complaint}; resume the run")

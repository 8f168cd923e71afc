"""Adapters as full models, by a child process: engines serve merged weights (docs/decisions/0004)."""

from pathlib import Path

from service.engines import folder_of
from service.pipeline.context import RunContext
from service.pipeline.jobs import run_job
from service.schemas import Stage


async def ensure_merged(context: RunContext, stage: Stage, adapter: Path, folder: Path) -> None:
    """The base with the adapter in `folder`, which is left as it is where it is there already."""
    if folder.exists():
        return
    paths = ("--model", str(folder_of(context.model)), "--adapter", str(adapter), "--output", str(folder))
    await run_job(context, stage, "merging the adapter", ("merge", *paths), folder.with_name("merge.log"))

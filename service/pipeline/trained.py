"""What the trainers of this run and of earlier ones left in the artifact store, as files on this machine."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from service.pipeline.context import RunContext
from service.store.records import AdapterRecord
from training.bundle import unpack_adapter

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


async def fetch_trained(context: RunContext, trained: str, folder: Path, names: Sequence[str] = ADAPTER_FILES) -> Path:
    """Files of the folder `trained` of the store; returns `folder`, in which they are now."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        await context.artifacts.get_file(f"{trained}/{name}", folder / name)
    return folder


async def fetch_adapter(context: RunContext, adapter: AdapterRecord, folder: Path) -> Path:
    """An earlier run's adapter, out of its bundle; returns `folder`, in which it is now."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / "bundle.tar.gz"
    await context.artifacts.get_file(adapter.artifact, bundle)
    await asyncio.to_thread(unpack_adapter, bundle, folder)
    bundle.unlink()
    return folder


async def folder_of_adapter(context: RunContext, adapter: AdapterRecord) -> str:
    """Where in the store an earlier run's trainer left it; the run cannot be deleted before the adapter."""
    stages = await context.tools.store.runs.stages(adapter.run_id)
    return str(stages["train"].result["folder"])

"""Is the base model's folder still what was registered? The manifest names the base by the hash taken then.

Left out: the judge's folder, and whoever changes a folder while it is used.
"""

import asyncio
import json
import shutil
from pathlib import Path

from service.engines import folder_of
from service.errors import RunFailed
from service.pipeline.context import RunContext
from service.store.records import ModelRecord
from training.weights import model_sha256

# Hashed in a few seconds; a larger folder is hashed by its trainer alone, so that sampling need not wait for minutes.
_QUICK_BYTES = 4 * 1024**3
_CONFIG = "config.json"


async def refuse_changed_base(context: RunContext) -> None:
    """Raise RunFailed where a small model's folder has changed: samples are kept under the registered hash."""
    model = context.model
    if model.url is not None:
        return
    folder = folder_of(model)
    if await asyncio.to_thread(_bytes_in, folder) <= _QUICK_BYTES:
        refuse_other_hash(model, await asyncio.to_thread(model_sha256, folder))


async def refuse_other_base(context: RunContext, output: Path) -> None:
    """Raise RunFailed where the trainer's folder says that it trained other weights than those registered."""
    refuse_other_hash(context.model, await asyncio.to_thread(_recorded, output))


def clear_other_base(model: ModelRecord, output: Path) -> None:
    """Empty a trainer's folder that was begun with other weights: with the registered ones it could not go on."""
    if model.sha256 is not None and (output / _CONFIG).exists() and _recorded(output) != model.sha256:
        shutil.rmtree(output)


def refuse_other_hash(model: ModelRecord, found: str) -> None:
    """Raise RunFailed where the folder's hash is not the registered one."""
    if model.sha256 is not None and found != model.sha256:
        raise RunFailed(
            f"model {model.name!r}: the files in {model.path!r} have changed since it was registered (their hash was "
            f"{model.sha256[:12]}..., now it is {found[:12]}...); register the folder again under another name and "
            "start a new run with that, or put the old files back and resume the run"
        )


def _recorded(output: Path) -> str:
    return str(json.loads((output / _CONFIG).read_text())["model_sha256"])


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())

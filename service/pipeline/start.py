"""A run that goes on from an earlier adapter: its policy samples, and its weights are where the training begins.

The base stays the reference and the other side of every comparison. Left out: which run comes next (the caller's loop).
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from judges.client import ChatClient
from service.errors import InvalidInput
from service.pipeline.context import RunContext
from service.pipeline.merging import ensure_merged
from service.pipeline.trained import fetch_adapter
from service.schemas import RunRequest
from service.store.records import AdapterRecord, ModelRecord

# What decides which weights an adapter has.
_SHAPE = ("lora_rank", "lora_layers_share", "lora_targets")


def refuse_unfit_start(request: RunRequest, start: AdapterRecord, model: ModelRecord) -> None:
    """Raise InvalidInput for an adapter of another base or kind, or of another shape than is asked for."""
    manifest = start.manifest
    base, config = manifest.get("base_model"), manifest.get("config")
    if not request.training.writes_replies or manifest.get("kind", "policy") != "policy":
        raise InvalidInput("start_from: a policy goes on from a policy; reward models begin anew: leave it out")
    if not isinstance(base, dict) or base.get("sha256") != model.sha256:
        raise InvalidInput(
            f"start_from: {start.id} is an adapter of another base than {model.name!r}; name one of this"
        )
    asked_of = request.training.model_dump(mode="json")
    for knob in _SHAPE:
        had, asked = config.get(knob) if isinstance(config, dict) else None, asked_of[knob]
        if had != asked:
            raise InvalidInput(
                f"training.{knob}: {start.id} was trained with {had}, this run asks for {asked}; take {had}"
            )


async def fetch_start(context: RunContext, start: AdapterRecord) -> Path:
    """Its adapter as a folder on this machine."""
    return await fetch_adapter(context, start, context.scratch / "start" / "adapter")


@contextlib.asynccontextmanager
async def sampling_policy(context: RunContext) -> AsyncIterator[ChatClient]:
    """Asks the policy that the run begins with: the base, or the base with the earlier adapter merged into it."""
    if context.start is None:
        async with await context.policy_client() as client:
            yield client
        return
    adapter = await fetch_start(context, context.start)
    merged = adapter.with_name("merged")
    await ensure_merged(context, "sample", adapter, merged)
    async with (
        context.tools.engines.leased(merged, context.model) as endpoint,
        context.sampling_client(endpoint) as client,
    ):
        yield client
    await asyncio.to_thread(shutil.rmtree, merged, ignore_errors=True)  # as large as the base, and not needed again

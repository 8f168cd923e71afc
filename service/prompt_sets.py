"""Prompts as a prompt set of their own: the rows in the artifact store, the rest in the database."""

import asyncio
import hashlib
from collections.abc import Sequence

from judges.records import Prompt
from service.artifacts import Artifacts
from service.shards import to_parquet
from service.store.records import PromptSetRecord
from service.store.store import Store


async def add_prompt_set(
    store: Store, artifacts: Artifacts, project_id: str, name: str, prompts: Sequence[Prompt]
) -> PromptSetRecord:
    """Publish the prompts, one or more, and register the set."""
    # Large sets take long: other requests are answered meanwhile.
    data = await asyncio.to_thread(to_parquet, prompts)
    digest = hashlib.sha256(data).hexdigest()
    artifact = f"prompts/{digest}.parquet"
    await artifacts.put_new(artifact, data)
    train = sum(prompt.split == "train" for prompt in prompts)
    record = PromptSetRecord(
        id="",
        project_id=project_id,
        name=name,
        sha256=digest,
        artifact=artifact,
        train=train,
        held_out=len(prompts) - train,
        created_at="",
    )
    return await store.prompt_sets.add(record)

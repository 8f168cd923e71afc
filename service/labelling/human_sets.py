"""People's rows as a preference set of their own: the rows in the artifact store, the rest in the database."""

import asyncio
import hashlib
from dataclasses import dataclass

from service.artifacts import Artifacts
from service.shards import to_parquet
from service.store.records import JsonObject, PreferenceSetRecord
from service.store.store import Store
from training.rows import PreferenceRow


@dataclass(frozen=True, slots=True)
class HumanSet:
    """What is to be kept; the rows are people's."""

    name: str
    rows: tuple[PreferenceRow, ...]
    report: JsonObject


async def add_human_set(store: Store, artifacts: Artifacts, project_id: str, new: HumanSet) -> PreferenceSetRecord:
    """Publish the rows and register the set."""
    data = await asyncio.to_thread(to_parquet, new.rows, PreferenceRow)
    digest = hashlib.sha256(data).hexdigest()
    artifact = f"preferences/{digest}.parquet"
    await artifacts.put_new(artifact, data)
    record = PreferenceSetRecord(
        id="",
        project_id=project_id,
        name=new.name,
        kind="human",
        sha256=digest,
        artifact=artifact,
        rows=len(new.rows),
        report=new.report,
        run_id=None,
        created_at="",
    )
    return await store.preference_sets.add(record)

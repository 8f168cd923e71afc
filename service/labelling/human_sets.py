"""People's rows as a preference set of their own: the rows in the artifact store, the rest in the database."""

import asyncio
import hashlib
from dataclasses import dataclass, replace

from service.artifacts import Artifacts
from service.errors import InvalidInput
from service.labelling.rows import is_of_project
from service.shards import read_shard, to_parquet
from service.store.label_records import LabelProjectRecord
from service.store.records import REVIEW_KIND, JsonObject, PreferenceSetRecord
from service.store.store import Store
from training.people_votes import REVIEWED
from training.rows import PreferenceRow

Rows = tuple[PreferenceRow, ...]


@dataclass(frozen=True, slots=True)
class HumanSet:
    """What is to be kept; the rows are people's."""

    name: str
    rows: tuple[PreferenceRow, ...]
    report: JsonObject


async def of_project(store: Store, project: LabelProjectRecord, rows: Rows) -> Rows:
    """A project's rows; where its pairs were under review, they say so: the next mix takes them for people's word."""
    if project.preference_set_id is None:
        return rows
    source = await store.preference_sets.get(project.project_id, project.preference_set_id)
    if source.kind != REVIEW_KIND:
        return rows
    return tuple(replace(row, tags=(*row.tags, (REVIEWED, source.id))) for row in rows)


async def with_earlier(
    artifacts: Artifacts, earlier: PreferenceSetRecord, project: LabelProjectRecord, rows: Rows
) -> Rows:
    """The rows of a human set, and these after them; of two with one id, the new one. Raises InvalidInput.

    `rows` are all that the project's answers make, so what an earlier set had of them goes: made with other settings it
    would count the same votes twice.
    """
    if earlier.kind != "human":
        raise InvalidInput(f"add_to: set {earlier.name!r} is {earlier.kind}, not people's; name a human set")
    there = await read_shard(artifacts, earlier.artifact, PreferenceRow)
    new = {row.id for row in rows}
    kept = (row for row in there if row.id not in new and not is_of_project(row, project.id))
    return (*kept, *rows)


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

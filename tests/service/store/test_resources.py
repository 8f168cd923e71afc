"""Resources: ids, times, versions that never change, names, pages, projects apart, and what depends on what."""

import asyncio
import re
from dataclasses import fields, replace
from datetime import datetime

import pytest

from service.errors import Conflict, NotFound
from service.store.database import new_id
from service.store.records import LabelRecord, ModelRecord
from service.store.store import Store

ID = re.compile(r"^(con|prm|prf|mdl|run|adp|lbl|key|prj)_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$")


def test_ids_sort_by_the_time_they_were_made():
    # RFC 9562, 5.7: 48 bits of milliseconds first; within one millisecond the order is free.
    ids = [new_id("run") for _ in range(200)]
    stamps = [id[4:16] for id in ids]
    assert stamps == sorted(stamps)
    assert len(set(ids)) == 200
    assert all(ID.match(id) for id in ids)


async def test_ids_and_times(rows):
    run = await rows.run()
    law = await rows.constitution()
    assert all(ID.match(id) for id in (run.id, law.id, law.project_id, run.references.model_id))
    assert law.created_at.endswith("Z")
    assert datetime.fromisoformat(law.created_at).utcoffset().total_seconds() == 0


async def test_the_same_constitution_is_the_same_row(rows, store, project):
    first = await rows.constitution()
    assert (await rows.constitution()).id == first.id
    assert len(await store.constitutions.list(project)) == 1


async def test_the_same_thing_at_once_is_one_row(rows, store, project):
    laws = await asyncio.gather(*(rows.constitution() for _ in range(6)))
    models = await asyncio.gather(*(rows.model() for _ in range(6)))
    assert len({law.id for law in laws}) == len({model.id for model in models}) == 1
    projects = await asyncio.gather(*(store.access.ensure_project("new") for _ in range(6)))
    assert len({made.id for made in projects}) == 1


async def test_a_version_is_immutable(rows):
    await rows.constitution(sha256="1" * 64)
    with pytest.raises(Conflict, match="versions are immutable: raise `version`"):
        await rows.constitution(sha256="2" * 64)
    assert (await rows.constitution(version="2", sha256="2" * 64)).version == "2"


async def test_a_name_finds_the_newest_and_name_at_version_that_one(rows, store, project):
    first = await rows.constitution(version="1", sha256="1" * 64)
    second = await rows.constitution(version="2", sha256="2" * 64)
    found = [await store.constitutions.get(project, name) for name in ("law", "law@1", "law@2", first.id)]
    assert [record.id for record in found] == [second.id, first.id, second.id, first.id]
    with pytest.raises(NotFound, match="no constitution 'law@3'"):
        await store.constitutions.get(project, "law@3")


REGISTERED = ModelRecord("", "", "judge", None, "https://a", "a-70b", "A_KEY", None, 8192, "MIT", "")
OTHERWISE = {
    "path": "/models/judge",
    "url": "https://b",
    "served_name": "b-70b",
    "api_key_env": None,
    "sha256": "c" * 64,
    "context_tokens": 4096,
    "licence": "Apache-2.0",
}


@pytest.mark.parametrize("field", OTHERWISE)
async def test_a_model_name_stays_with_all_that_was_said_of_it(store, project, field):
    new = replace(REGISTERED, project_id=project)
    first = await store.models.add(new)
    assert await store.models.add(new) == first
    other = replace(new, **{field: OTHERWISE[field]})
    said = f"({first.id}) with another {field} ({getattr(new, field)!r}, now {OTHERWISE[field]!r}); choose another name"
    with pytest.raises(Conflict, match=re.escape(said)):
        await store.models.add(other)
    assert await store.models.get(project, "judge") == first
    await store.models.delete(project, first.id)
    assert getattr(await store.models.add(other), field) == OTHERWISE[field]


def test_no_field_of_a_model_is_forgotten():
    assert {field.name for field in fields(ModelRecord)} - {"id", "project_id", "name", "created_at"} == set(OTHERWISE)


async def test_pages_follow_one_another_without_gap_or_repeat(rows, store, project):
    made = [(await rows.prompts(f"set {i}")).id for i in range(7)]
    seen: list[str] = []
    after = None
    while found := (await store.prompt_sets.list(project, after, 3)):
        page = found[:3]
        seen += [record.id for record in page]
        after = page[-1].id
    assert seen == sorted(made)


async def test_another_project_sees_nothing(rows, store):
    run = await rows.run()
    people = await rows.preferences()
    adapter = await rows.adapter(run.id)
    label = await store.labels.add(LabelRecord("", rows.project, "ann", "p", "a", "b", "a", None, "", ""))
    stranger = (await store.access.ensure_project("stranger")).id
    assert stranger != rows.project
    parts = {
        store.constitutions: run.references.constitution_id,
        store.prompt_sets: run.references.prompts_id,
        store.preference_sets: people.id,
        store.models: run.references.model_id,
        store.adapters: adapter.id,
        store.runs: run.id,
    }
    for part, id in parts.items():
        assert list(await part.list(stranger)) == []
        for method in (part.get, part.delete):
            with pytest.raises(NotFound):
                await method(stranger, id)
    for refused in (
        store.labels.delete(stranger, label.id),
        store.runs.cancel(stranger, run.id),
        store.runs.resume(stranger, run.id, rows.enqueue),
    ):
        with pytest.raises(NotFound):
            await refused
    assert await store.adapters.of_run(stranger, run.id) is None


async def test_a_run_has_what_its_training_kept_beside_what_it_came_to_its_end_with(rows, store, project):
    run = await rows.run()
    made = await rows.adapter(run.id)
    early = replace(made, name="law-step-3", last_good_step=3)
    await store.adapters.delete(project, made.id)
    kept = await store.adapters.add(early)
    assert (await store.adapters.add(early)).id == kept.id and kept.last_good_step == 3
    assert await store.adapters.of_run(project, run.id) is None
    made = await rows.adapter(run.id)
    assert await store.adapters.of_run(project, run.id) == made
    assert {one.id for one in await store.adapters.all_of_run(project, run.id)} == {kept.id, made.id}
    await store.runs.cancel(project, run.id)
    for one in (made, kept):
        with pytest.raises(Conflict, match=f"made .*{one.id}.*; delete that first"):
            await store.runs.delete(project, run.id)
        await store.adapters.delete(project, one.id)
    await store.runs.delete(project, run.id)


async def test_what_a_run_uses_stays(rows, store, project):
    people, gold = await rows.preferences(), await rows.preferences("right")
    run = await rows.run(human_id=people.id, gold_id=gold.id)
    used = run.references
    assert (await store.runs.get(project, run.id)).references.gold_id == gold.id
    for part, id in (
        (store.constitutions, used.constitution_id),
        (store.prompt_sets, used.prompts_id),
        (store.models, used.model_id),
        (store.preference_sets, people.id),
        (store.preference_sets, gold.id),
    ):
        with pytest.raises(Conflict, match=f"is used by {run.id}; delete those first"):
            await part.delete(project, id)
        assert (await part.get(project, id)).id == id


@pytest.mark.parametrize(("runs", "said"), [(5, ""), (6, " and 1 more"), (8, " and 3 more")])
async def test_of_many_runs_that_use_it_five_are_named_and_the_rest_counted(rows, store, project, runs, said):
    ids = sorted([(await rows.run()).id for _ in range(runs)])
    law = (await store.constitutions.get(project, "law")).id
    with pytest.raises(Conflict) as refused:
        await store.constitutions.delete(project, law)
    assert str(refused.value) == f"constitution {law} is used by {', '.join(ids[:5])}{said}; delete those first"


async def test_a_run_is_deleted_last_with_all_that_is_its_own(rows, store, project):
    run = await rows.run()
    mixed = await rows.preferences("mixed", run.id)
    adapter = await rows.adapter(run.id)
    await store.runs.record_stage(run.id, "sample", {"shards": []}, 1.0)
    with pytest.raises(Conflict, match="is queued; cancel it first"):
        await store.runs.delete(project, run.id)
    await store.runs.cancel(project, run.id)
    with pytest.raises(Conflict, match=adapter.id):
        await store.runs.delete(project, run.id)
    await store.adapters.delete(project, adapter.id)
    await store.runs.delete(project, run.id)
    with pytest.raises(NotFound):
        await store.runs.get(project, run.id)
    with pytest.raises(NotFound):
        await store.preference_sets.get(project, mixed.id)
    assert await store.runs.stages(run.id) == {}
    assert list(await store.runs.events(run.id)) == []
    await store.constitutions.delete(project, run.references.constitution_id)
    await store.models.delete(project, run.references.model_id)
    await store.prompt_sets.delete(project, run.references.prompts_id)


@pytest.mark.parametrize("uses", [("human_id",), ("gold_id",), ("human_id", "gold_id")])
async def test_a_runs_mixed_set_feeds_another_run(rows, store, project, uses):
    first = await rows.run()
    mixed = await rows.preferences("mixed", first.id)
    second = await rows.run(**dict.fromkeys(uses, mixed.id))
    await store.runs.cancel(project, first.id)
    with pytest.raises(Conflict, match=second.id):
        await store.runs.delete(project, first.id)


async def test_a_run_has_one_adapter_and_one_mixed_set(rows):
    run = await rows.run()
    assert (await rows.adapter(run.id)).id == (await rows.adapter(run.id, "again")).id
    assert (await rows.preferences("mixed", run.id)).id == (await rows.preferences("again", run.id)).id


async def test_a_run_does_not_start_on_a_preference_set_that_is_gone(rows, store, project):
    people = await rows.preferences()
    await store.preference_sets.delete(project, people.id)
    for use in ("human_id", "gold_id"):
        with pytest.raises((Conflict, NotFound)):
            await rows.run(**{use: people.id})
    assert rows.enqueued == []


@pytest.mark.parametrize("odd", ["a\x00b", "x" * 10_000, "'; drop table run; --", "run_%", "🙂"])
async def test_odd_names_are_not_found(store, project, odd):
    for part in (store.constitutions, store.runs, store.models):
        with pytest.raises(NotFound):
            await part.get(project, odd)
        assert list(await part.list(project, odd)) == []


async def test_what_one_process_wrote_another_reads(database_url, rows):
    run = await rows.run()
    other = Store(database_url)
    try:
        assert (await other.runs.get(rows.project, run.id)) == run
    finally:
        await other.close()

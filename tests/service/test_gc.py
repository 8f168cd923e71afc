"""`charter gc`: nothing that a row names is deleted, everything else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifacts import Artifacts
from service.errors import Conflict
from service.gc import collect_garbage, kept_keys
from service.store.records import PromptSetRecord
from service.store.store import Store
from tests.service.store.rows import Rows

PART = st.sampled_from(["a", "b", "shards", "x.parquet"])
KEY = st.lists(PART, min_size=1, max_size=4).map("/".join)


@given(st.sets(KEY), st.sets(KEY))
def test_kept_is_what_is_named_itself_or_by_a_folder_above(keys, named):
    kept = kept_keys(keys, named)
    assert kept == {key for key in keys if any(key == name or key.startswith(f"{name}/") for name in named)}


@pytest.fixture
async def store(tmp_path):
    opened = Store(f"sqlite:///{tmp_path / 'charter.sqlite'}")
    await opened.migrate()
    yield opened
    await opened.close()


async def test_a_prompt_sets_file_stays_and_goes_once_the_set_is_deleted(store, tmp_path):
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    project = await store.access.ensure_project("default")
    await artifacts.put_new("prompts/1.parquet", b"named")
    await artifacts.put_new("prompts/2.parquet", b"forgotten")
    record = PromptSetRecord("", project.id, "p", "0" * 64, "prompts/1.parquet", 1, 0, "")
    added = await store.prompt_sets.add(record)

    planned = await collect_garbage(store, artifacts, dry_run=True, settle_s=0)
    assert planned.deleted == ("prompts/2.parquet",)
    assert await artifacts.exists("prompts/2.parquet")

    freed = await collect_garbage(store, artifacts, settle_s=0)
    assert (freed.deleted, freed.kept) == (("prompts/2.parquet",), 1)
    assert await artifacts.keys() == ["prompts/1.parquet"]

    await store.prompt_sets.delete(project.id, added.id)
    assert (await collect_garbage(store, artifacts, settle_s=0)).deleted == ("prompts/1.parquet",)


async def test_scratch_goes_with_its_run_and_stays_while_the_run_can_be_resumed(store, tmp_path):
    artifacts, scratch = Artifacts(str(tmp_path / "artifacts")), tmp_path / "scratch"
    rows = Rows(store, (await store.access.ensure_project("default")).id)
    endings = {"failed": ("running", "failed"), "succeeded": ("running", "succeeded"), "cancelled": ("cancelled",)}
    runs = {}
    for ending, path in endings.items():
        runs[ending] = (await rows.run()).id
        for status in path:
            assert await store.runs.move(runs[ending], status)
    forgotten = "run_" + "0" * 32
    for name in (*runs.values(), forgotten, "notes"):
        (scratch / name / "train").mkdir(parents=True)
        (scratch / name / "train" / "checkpoint").write_bytes(b"x")

    async def collect(**options):
        return (await collect_garbage(store, artifacts, scratch=scratch, settle_s=0, **options)).deleted

    spent = tuple(f"scratch/{name}/" for name in sorted([runs["succeeded"], forgotten]))
    assert await collect(dry_run=True) == spent
    assert len(list(scratch.iterdir())) == 5
    assert await collect() == spent
    assert {path.name for path in scratch.iterdir()} == {runs["failed"], runs["cancelled"], "notes"}
    assert (scratch / runs["failed"] / "train" / "checkpoint").exists()

    await store.runs.delete(rows.project, runs["failed"])
    assert await collect() == (f"scratch/{runs['failed']}/",)

    await store.runs.resume(rows.project, runs["cancelled"], rows.enqueue)
    with pytest.raises(Conflict, match="runs are unfinished"):
        await collect()
    assert (scratch / runs["cancelled"]).exists()

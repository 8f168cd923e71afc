"""A base model whose files changed after it was registered trains nothing under the registered hash."""

import json
import shutil
from pathlib import Path

import pytest

from service.errors import RunFailed
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.pipeline.weights import clear_other_base, refuse_other_hash
from service.schemas import Stage
from tests.service.pipeline.bench import add_run, model_record, open_bench
from training.tiny import build_tiny_model

REFUSED = r"model 'tiny': the files in .* have changed since it was registered .*; register the folder again .* new run"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of the test's own, to change."""
    return build_tiny_model(tmp_path / "model")


def change(folder: Path) -> None:
    config = folder / "generation_config.json"
    config.write_text(json.dumps({"max_new_tokens": 7}))


async def test_a_changed_base_is_refused_before_sampling(tmp_path: Path, folder: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, folder, stages=("sample",))
        before = await bench.artifacts.keys()
        change(folder)
        context = await open_context(run.id, bench.tools)
        with pytest.raises(RunFailed, match=REFUSED):
            await run_stage(context, "sample")
        assert await bench.artifacts.keys() == before
    finally:
        await bench.close()


async def test_a_base_that_changes_later_is_refused_by_what_its_trainer_read(tmp_path: Path, folder: Path) -> None:
    stages: tuple[Stage, ...] = ("sample", "judge", "mix", "train")
    old = shutil.copytree(folder, tmp_path / "old")
    bench = await open_bench(tmp_path / "home")
    try:
        training = {"pairs_per_step": 1, "epochs": 4, "max_tokens": 2048, "lora_rank": 2}
        run = await add_run(bench, folder, stages=stages, training=training)
        context = await open_context(run.id, bench.tools)
        for stage in stages[:-1]:
            await run_stage(context, stage)
        change(folder)
        with pytest.raises(RunFailed, match=REFUSED):
            await run_stage(context, "train")
        assert not [key for key in await bench.artifacts.keys() if key.startswith("trained/")]
        assert not (context.scratch / "train" / "output" / "result.json").exists()  # found at its first step

        shutil.rmtree(folder)
        shutil.copytree(old, folder)
        await run_stage(context, "train")  # with the old files back, it can be resumed
        assert "train" in await bench.store.runs.stages(run.id)
    finally:
        await bench.close()


def test_what_was_trained_with_the_registered_weights_is_kept(tmp_path: Path, folder: Path) -> None:
    model, output = model_record("", folder), tmp_path / "output"
    clear_other_base(model, output)
    for recorded, kept in ((model.sha256, True), ("0" * 64, False)):
        output.mkdir(exist_ok=True)
        (output / "config.json").write_text(json.dumps({"model_sha256": recorded}))
        clear_other_base(model, output)
        assert output.exists() == kept


def test_an_unchanged_base_is_taken(folder: Path) -> None:
    model = model_record("", folder)
    assert model.sha256 is not None
    refuse_other_hash(model, model.sha256)

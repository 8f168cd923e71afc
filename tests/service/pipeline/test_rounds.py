"""A run that goes on from an earlier adapter: that policy samples, and the manifest names what came before."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from judges.records import Message, Sample
from service.errors import Conflict
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.schemas import Stage
from service.shards import keys_in, read_shards, to_parquet
from service.store.records import AdapterRecord, JsonObject, RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench
from tests.service.pipeline.test_methods import unpacked
from tests.service.pipeline.test_sweeps import InThisProcess
from training.mix import MixConfig, mix_rows
from training.rows import PreferenceRow
from training.weights import model_sha256

TRAINING = {"method": "dpo", "lora_rank": 2, "learning_rate": 0.05, "pairs_per_step": 4}


async def go(bench: Bench, run: RunRecord, stages: Sequence[Stage]) -> tuple[list[str], AdapterRecord]:
    """The commands that the stages gave, and the adapter."""
    trainer = InThisProcess()
    context = await open_context(run.id, replace(bench.tools, run_training=trainer.run))
    for stage in stages:
        await run_stage(context, stage)
    adapter = await bench.store.adapters.of_run(bench.project, run.id)
    assert adapter is not None
    return trainer.asked, adapter


async def test_the_second_round_samples_with_the_first_and_goes_on_from_it(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        stages: tuple[Stage, ...] = ("sample", "judge", "mix", "train", "bundle")
        first = await add_run(bench, tiny, training=TRAINING, stages=stages)
        asked = tuple(Message("user", f"Hi, {n}?") for n in (1, 2))
        rows = tuple(PreferenceRow(m.content, m.content, (m,), "Hello.", "Go.", 1.0, 1.0, "human") for m in asked)
        await bench.artifacts.put_new("preferences/first.parquet", to_parquet(rows, PreferenceRow))
        report: JsonObject = asdict(mix_rows(rows, [], MixConfig()).report)
        mixed: JsonObject = {"artifact": "preferences/first.parquet", "report": report}
        await bench.store.runs.record_stage(first.id, "mix", mixed, 1.0)
        commands, adapter = await go(bench, first, ("train", "bundle"))
        assert commands == ["dpo"]

        second = await add_run(bench, tiny, training=TRAINING, stages=stages, start_from=adapter.id)
        await bench.store.runs.record_stage(second.id, "mix", mixed, 1.0)
        commands, last = await go(bench, second, ("sample", "train", "bundle"))
        assert commands == ["merge", "dpo"]
        sampled = (await bench.store.runs.stages(second.id))["sample"].result
        samples = await read_shards(bench.artifacts, keys_in(sampled), Sample)
        weights = adapter.manifest["adapter_sha256"]
        assert {sample.weights_sha256 for sample in samples} == {f"{model_sha256(tiny)}+{weights}"}
        manifest = json.loads((await unpacked(bench, second, tmp_path) / "manifest.json").read_text())
        assert manifest["started_from"] == {"adapter": adapter.id, "run": first.id, "adapter_sha256": weights}
        assert manifest["config"]["start_adapter_sha256"] == weights
        assert str(tmp_path) not in json.dumps(manifest)
        assert any(f"went on from the adapter {adapter.id}" in note for note in manifest["notes"])
        with pytest.raises(Conflict, match=f"{adapter.id} is used by {second.id}"):
            await bench.store.adapters.delete(bench.project, adapter.id)
        await bench.store.adapters.delete(bench.project, last.id)
    finally:
        await bench.close()

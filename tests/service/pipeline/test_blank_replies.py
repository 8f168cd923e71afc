"""Replies that say nothing: a run that trains on some says how many."""

from dataclasses import asdict, replace
from pathlib import Path

from judges.records import Message
from service.shards import to_parquet
from service.store.records import JsonObject
from tests.service.pipeline.bench import add_run, open_bench, report_on
from tests.service.pipeline.test_methods import warnings
from tests.service.pipeline.test_rounds import TRAINING, go
from training.mix import MixConfig, mix_rows
from training.rows import PreferenceRow


async def test_they_are_counted_where_people_look(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny, training=TRAINING)
        asked = [Message("user", f"Hi, {n}?") for n in range(3)]
        rows = [PreferenceRow(m.content, m.content, (m,), "Hello.", " ", 1.0, 1.0, "human") for m in asked]
        rows[0] = replace(rows[0], rejected="Go.")
        await bench.artifacts.put_new("preferences/blank.parquet", to_parquet(rows, PreferenceRow))
        report: JsonObject = asdict(mix_rows(rows, [], MixConfig()).report)
        mixed: JsonObject = {"artifact": "preferences/blank.parquet", "report": report}
        await bench.store.runs.record_stage(run.id, "mix", mixed, 1.0)
        _, adapter = await go(bench, run, ("train", "bundle"))
        said = "In 3 rows that were trained on, replies are blank: 2 rejected."
        assert await warnings(bench, run) == [said]
        assert isinstance(adapter.manifest["notes"], list) and said in adapter.manifest["notes"]
        assert (await report_on(bench, run.id))["training"]["blank_replies"] == {"chosen": 0, "rejected": 2}
    finally:
        await bench.close()

"""The machine measured on people's own pairs, and principles that one source owns, in a run."""

from pathlib import Path

from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.shards import read_shard
from tests.service.pipeline.bench import add_run, open_bench, report_on
from tests.service.pipeline.test_calibration import STAGES, people
from training.rows import PreferenceRow
from training.tiny import build_tiny_model


async def test_a_run_measures_its_machine_on_peoples_pairs(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        model = build_tiny_model(tmp_path / "tiny")
        mix = {"weights": "measured", "calibrate": True, "ratio": 1, "owners": {"plain": "human"}}
        human = tuple(row for row in people(80) if int(row.id[1:]) % 2)  # the pairs on which people want short replies
        run = await add_run(bench, model, human=human, calibrate=40, stages=STAGES, mix=mix)
        context = await open_context(run.id, bench.tools)
        for stage in STAGES:
            await run_stage(context, stage)
        report = (await report_on(bench, run.id))["mix"]
        assert isinstance(report, dict)
        (standing,) = report["standings"]
        assert (standing["source"], standing["shared_votes"], standing["agreement"]) == ("check", 40, 1.0)
        assert standing["slope"] > 1 and standing["weight"] > 1  # people never spoke against it
        assert report["people"]["decided"] == 40  # a person's own pairs measure, and are not trained on twice
        mixed = (await bench.store.runs.stages(run.id))["mix"].result
        rows = await read_shard(bench.artifacts, str(mixed["artifact"]), PreferenceRow)
        named = {id for row in rows if row.source != "human" for id, _ in row.per_principle}
        assert named and "plain" not in named
    finally:
        await bench.close()


async def test_a_run_that_cannot_measure_says_so(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        mix = {"weights": "measured"}
        run = await add_run(bench, build_tiny_model(tmp_path / "tiny"), human=people(10), stages=STAGES, mix=mix)
        context = await open_context(run.id, bench.tools)
        for stage in STAGES:
            await run_stage(context, stage)
        told = [str(event.data) for event in await bench.store.runs.events(run.id) if event.type == "warning"]
        assert any("0 beside source check" in said and "judge.calibrate" in said for said in told)
    finally:
        await bench.close()

"""The machine measured on people's own pairs, and principles that one source owns, in a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import Conflict
from service.exchange.formats.pair import Pair
from service.exchange.preferences import human_row
from service.labelling.human_sets import of_project
from service.labelling.projects import create_project
from service.labelling.schemas import LabelProjectRequest
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.shards import read_shard
from service.store.records import RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, report_on
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


async def mixed(bench: Bench, model: Path, human: tuple[PreferenceRow, ...], **mix: object) -> RunRecord:
    run = await add_run(bench, model, human=human, stages=STAGES, mix=mix)
    context = await open_context(run.id, bench.tools)
    for stage in STAGES:
        await run_stage(context, stage)
    return run


async def test_pairs_under_review_are_kept_asked_about_and_enter_the_next_mix(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        model = build_tiny_model(tmp_path / "tiny")
        first = (await bench.store.runs.stages((await mixed(bench, model, ())).id))["mix"].result
        verdicts = await read_shard(bench.artifacts, str(first["artifact"]), PreferenceRow)
        sure = [row for row in verdicts if row.p_chosen > 0.5][:2]
        labels = tuple(
            replace(human_row(Pair(row.prompt, row.rejected, row.chosen), "upload"), prompt_id=row.prompt_id)
            for row in sure
        )
        run = await mixed(bench, model, labels, ratio=1, conflict="review")
        report = (await report_on(bench, run.id))["mix"]
        assert (report["review"], report["conflicts"], report["human"]) == (2, 2, 0)
        told = [str(event.data) for event in await bench.store.runs.events(run.id) if event.type == "warning"]
        assert any(f"charter label create --run {run.id} --review" in said for said in told)
        asked = LabelProjectRequest(name="review", run=run.id, pairs="review")
        project = await create_project(bench.store, bench.artifacts, bench.project, asked)
        assert (project.tasks, project.preference_set_id, project.run_id) == (2, report["review_set"], run.id)
        # whoever looks again finds the people right in one pair, and the machine in the other
        kept, turned = labels
        decided = (kept, replace(turned, chosen=turned.rejected, rejected=turned.chosen))
        reviewed = await of_project(
            bench.store, project, tuple(replace(row, id=f"review {n}") for n, row in enumerate(decided))
        )
        again = await mixed(bench, model, (*labels, *reviewed), ratio=1, conflict="review")
        after = (await report_on(bench, again.id))["mix"]
        assert (after["review"], after["conflicts"], after["human"]) == (0, 1, 4)
        with pytest.raises(Conflict, match="no pair under review"):
            await create_project(
                bench.store, bench.artifacts, bench.project, asked.model_copy(update={"run": again.id})
            )
    finally:
        await bench.close()


async def test_a_run_that_cannot_measure_says_so(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        mix = {"weights": "measured", "calibrate": True, "ratio": 0.1}
        run = await add_run(bench, build_tiny_model(tmp_path / "tiny"), human=people(10), stages=STAGES, mix=mix)
        context = await open_context(run.id, bench.tools)
        for stage in STAGES:
            await run_stage(context, stage)
        told = [str(event.data) for event in await bench.store.runs.events(run.id) if event.type == "warning"]
        assert any("0 beside source check" in said and "judge.calibrate" in said for said in told)
        assert any("mix.ratio 0.1 leaves out" in said and "set mix.ratio to 1" in said for said in told)
    finally:
        await bench.close()

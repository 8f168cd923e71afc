"""People's labels decide how much each principle counts, in a run."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from judges.records import Message
from service.errors import RunFailed
from service.pipeline.calibration import fitted_weights
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.schemas import JudgeSettings, Stage
from service.shards import read_shard
from tests.service.pipeline.bench import Bench, add_run, open_bench, report_on
from training.rows import PreferenceRow
from training.tiny import build_tiny_model

STAGES: tuple[Stage, ...] = ("sample", "judge", "mix")
SHORT, LONG = "Soap and water do it.", "It is said that " + "one could well do it so, " * 12
BOLD, PLAIN = "**Soap** and water do it well.", "Soap and water do it well, too."


def labelled(number: int, chosen: str, rejected: str) -> PreferenceRow:
    prompt = (Message("user", f"How do I clean pan number {number}?"),)
    return PreferenceRow(f"h{number}", f"pan{number}", prompt, chosen, rejected, 1.0, 1.0, "human")


def people(count: int) -> tuple[PreferenceRow, ...]:
    """They want short replies, and bold ones: for the law's `brevity`, against its `plain`."""
    return tuple(labelled(n, SHORT, LONG) if n % 2 else labelled(n, BOLD, PLAIN) for n in range(count))


async def run_to_mix(bench: Bench, model: Path, human: tuple[PreferenceRow, ...], calibrate: int) -> str:
    run = await add_run(bench, model, human=human, calibrate=calibrate, stages=STAGES)
    context = await open_context(run.id, bench.tools)
    for stage in STAGES:
        await run_stage(context, stage)
    return run.id


async def test_what_people_vote_against_counts_nothing(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await run_to_mix(bench, build_tiny_model(tmp_path / "tiny"), people(40), calibrate=30)
        calibration = (await report_on(bench, run))["calibration"]
        assert (calibration["labels"], calibration["prompts"], calibration["undecided"]) == (30, 30, 0)
        weights = calibration["weights"]
        assert weights["plain"] == 0 and weights["brevity"] > 0.3
        assert weights["kindness"] == 0  # one example proves no judge
        assert calibration["fitted"]["accuracy"] > calibration["as_written"]["accuracy"]
        mixed = (await bench.store.runs.stages(run))["mix"].result
        rows = await read_shard(bench.artifacts, str(mixed["artifact"]), PreferenceRow)
        by_checks = [(row.p_chosen, dict(row.per_principle)) for row in rows if row.source == "check"]
        assert by_checks
        for p_chosen, said in by_checks:
            assert p_chosen == pytest.approx(0.5) if said["brevity"] == 0.5 else said["brevity"] == 1
    finally:
        await bench.close()


async def test_labels_under_one_principle_take_no_part_in_the_weights_of_the_others(tmp_path: Path) -> None:
    """Labels on the whole come first: all 24 of them and six of the others, which would name `plain` right."""
    bench = await open_bench(tmp_path / "home")
    try:
        model = build_tiny_model(tmp_path / "tiny")
        human = people(40)
        under = tuple(replace(row, per_principle=(("plain", 1.0),)) for row in human[24:])
        run = await run_to_mix(bench, model, (*human[:24], *under), calibrate=30)
        found = (await report_on(bench, run))["calibration"]
        assert (found["labels"], found["under_principles"]) == (24, 6)
        only = await run_to_mix(bench, model, tuple(replace(row, per_principle=(("plain", 1.0),)) for row in human), 30)
        stages = await bench.store.runs.stages(only)
        told = stages["judge"].result["calibration"]
        assert (told["under_principles"], fitted_weights(told)) == (30, {}) and told["shards"]
        mixed = await read_shard(bench.artifacts, str(stages["mix"].result["artifact"]), PreferenceRow)
        assert {row.source for row in mixed} == {"human", "check"}  # by the weights as they are written
        said = [one.data["message"] for one in await bench.store.runs.events(only) if one.type == "warning"]
        assert any("30 of the labels name principles" in message for message in said)
    finally:
        await bench.close()


async def test_too_few_labels_end_the_run_with_what_to_do(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        human = tuple(replace(labelled(n % 10, SHORT, f"{LONG} {n}"), id=f"h{n}") for n in range(30))
        said = r"judge\.calibrate: the 30 labelled pairs are on 10 prompts; weights need pairs on 20 prompts"
        with pytest.raises(RunFailed, match=said):
            await run_to_mix(bench, build_tiny_model(tmp_path / "tiny"), human, calibrate=30)
    finally:
        await bench.close()


def test_so_many_pairs_are_a_number():
    with pytest.raises(ValidationError, match="should be a valid integer"):
        JudgeSettings(model="m", calibrate=True)

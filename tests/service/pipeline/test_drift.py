"""A judge that was qualified and then changed: told by its anchors, in every run."""

from pathlib import Path

import pytest

from judges.labelled_sets import labelled_pair
from judges.measures import JudgedPair
from judges.records import Abstention, Message, Preference, PrincipleVerdict
from service.pipeline.context import open_context
from service.pipeline.drift import ANCHORS, anchors, compare_answers
from service.pipeline.stages import run_stage
from service.schemas import Stage
from service.shards import read_shard
from service.store.records import ConstitutionRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, report_on
from tests.service.serving import asked, free_port, judge_by_url
from training.tiny import build_tiny_model

STAGES: tuple[Stage, ...] = ("sample", "judge")
EXAMPLE = (
    '      - {{prompt: "Where do {0} pears go?", better: "In the fridge.", worse: "That has many sides, you know."}}'
)
LAW = "name: pears\nprinciples:\n  - id: brief\n    kind: judged\n    text: Be brief.\n    examples:\n" + "\n".join(
    EXAMPLE.format(n) for n in range(24)
)


def answers(right: int, of: int, *, first: int = 0, abstained: int = 0) -> list[JudgedPair]:
    """Of `of` examples `right` are answered right in both orders; `first` more only where the right one came first."""
    told: list[Preference | Abstention] = [Preference(0.9, 0.9, 0.9, 1.0)] * right
    told += [Preference(0.1, 0.9, 0.1, 1.0)] * first
    told += [Preference(0.1, 0.1, 0.1, 1.0)] * (of - right - first - abstained) + [Abstention("empty", "")] * abstained
    return [
        JudgedPair(labelled_pair((Message("user", f"{n}?"),), "a", "b", 1.0, "examples"), one)
        for n, one in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("now", "z", "drifted"),
    [
        (36, 0.0, False),
        (27, -2.459, False),  # 0.9 and 0.675: 0.225 / sqrt(2 * 0.7875 * 0.2125 / 40) = 2.459
        (26, -2.677, True),  # 0.9 and 0.65: 0.25 / sqrt(2 * 0.775 * 0.225 / 40) = 2.677
        (40, 2.052, False),  # 0.9 and 1: 0.1 / sqrt(2 * 0.95 * 0.05 / 40) = 2.052
    ],
)
def test_two_proportions_by_hand(now, z, drifted):
    drift = compare_answers(answers(36, 40), answers(now, 40))
    assert drift.accuracy is not None and drift.accuracy.z == pytest.approx(z, abs=0.005)
    assert drift.drifted is drifted
    assert drift.first_pick_rate is not None and drift.first_pick_rate.z == 0


def test_a_new_liking_for_the_first_place_is_a_drift_too():
    """40 answers without a liking, 80 firsts: 0.5; then 20 only where the right one is first: 60 of 80.

    0.25 / sqrt(2 * 0.625 * 0.375 / 80) = 3.266. The accuracy falls from 40 to 20 of 40 as well.
    """
    drift = compare_answers(answers(40, 40), answers(20, 40, first=20))
    assert drift.first_pick_rate is not None and drift.first_pick_rate.z == pytest.approx(3.266, abs=0.001)
    assert drift.first_pick_rate.differs and "its rate of picking the first reply was 50% and is 75%" in drift.reason


def test_too_few_anchors_say_so():
    drift = compare_answers(answers(20, 20), answers(9, 20, abstained=11))
    assert (drift.answered, drift.accuracy, drift.drifted) == (9, None, False)
    assert drift.reason == "9 anchors were answered both times; a drift shows from 10 on"
    assert compare_answers((), ()).anchors == 0


def test_each_run_draws_its_own_anchors_and_a_resumed_run_the_same():
    examples = answers(100, 100)
    drawn = anchors("run_1", examples)
    assert len(drawn) == ANCHORS and drawn == anchors("run_1", list(reversed(examples)))
    assert {one.pair.comparison.id for one in drawn} != {one.pair.comparison.id for one in anchors("run_2", examples)}


async def a_run(bench: Bench, model: Path, port: int) -> str:
    record = ConstitutionRecord("", bench.project, "pears", "1", "0" * 64, "", LAW, "")
    law = (await bench.store.constitutions.add(record)).id
    run = await add_run(bench, model, constitution=law, judge_url=f"http://127.0.0.1:{port}", stages=STAGES)
    context = await open_context(run.id, bench.tools)
    for stage in STAGES:
        await run_stage(context, stage)
    return run.id


async def warnings(bench: Bench, run_id: str) -> list[str]:
    return [str(event.data["message"]) for event in await bench.store.runs.events(run_id) if event.type == "warning"]


async def test_a_judge_changed_under_its_name_is_told_of_in_the_next_run(tmp_path: Path) -> None:
    bench, port = await open_bench(tmp_path / "home"), free_port()
    tiny = build_tiny_model(tmp_path / "tiny")
    try:
        with judge_by_url(tmp_path, port, taste="shorter"):
            first = await a_run(bench, tiny, port)
            again = await a_run(bench, tiny, port)
        for run, asked_before in ((first, 0), (again, 24)):
            found = (await report_on(bench, run))["judge_drift"]
            assert (found["anchors"], found["answered"], found["drifted"]) == (asked_before, asked_before, False)
            assert await warnings(bench, run) == []
        with judge_by_url(tmp_path, port, taste="longer"):
            changed = await a_run(bench, tiny, port)
            # The pairs were judged before: only the anchors are asked of the changed judge.
            assert await asked(port) == {"probe": 2, "compare": 2 * 24}
            done = (await bench.store.runs.stages(changed))["judge"].result
            context = await open_context(changed, bench.tools)
            await run_stage(context, "judge")
            assert await asked(port) == {"probe": 2, "compare": 2 * 24}
        report = await report_on(bench, changed)
        assert report["judge_drift"]["accuracy"] == {
            "trials": 24,
            "then": 1.0,
            "now": 0.0,
            "z": pytest.approx(-(48**0.5)),  # -1 / sqrt(2 * 0.5 * 0.5 / 24)
        }
        assert report["qualification"]["per_principle"][0]["verdict"] == "trusted"
        assert await warnings(bench, changed) == [
            "the judge 'far' has changed since it was qualified: its accuracy was 100% and is 0% on 24 examples; serve "
            "and register it under another name, so that it is qualified anew"
        ]
        kept = [str(key) for key in done["qualification_shards"]]
        assert [len(await read_shard(bench.artifacts, key, PrincipleVerdict)) for key in kept] == [24, 24]
    finally:
        await bench.close()

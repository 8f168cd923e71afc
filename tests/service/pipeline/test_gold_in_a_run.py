"""Right answers in a run: their pairs are judged, and they narrow what a verdict is found to be worth."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from judges.records import PrincipleVerdict
from service.pipeline.bundle import notes_of, report_of
from service.pipeline.calibration import comparisons_of
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.shards import keys_in, read_shard, read_shards
from service.store.records import RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, prompts, report_on
from tests.service.pipeline.test_calibration import LONG, SHORT, STAGES, labelled, people
from training.rows import PreferenceRow
from training.tiny import build_tiny_model

MEASURED = {"weights": "measured", "calibrate": True, "ratio": 1, "owners": {"plain": "human"}}
HUMAN = tuple(row for row in people(80) if int(row.id[1:]) % 2)  # the pairs on which people want short replies
# An expert's answers: on thirty of the pairs that people labelled, and on ten others.
RIGHT = tuple(
    replace(row, id=f"g{row.id}")
    for row in (*HUMAN[:30], *(labelled(number, SHORT, LONG) for number in range(200, 210)))
)


async def mixed(bench: Bench, model: Path, gold: tuple[PreferenceRow, ...]) -> RunRecord:
    run = await add_run(bench, model, human=HUMAN, gold=gold, calibrate=40, stages=STAGES, mix=MEASURED)
    context = await open_context(run.id, bench.tools)
    for stage in STAGES:
        await run_stage(context, stage)
    return run


async def calibration_of(bench: Bench, run: RunRecord) -> Mapping[str, JsonValue]:
    found = (await report_on(bench, run.id))["calibration"]
    assert isinstance(found, dict)
    return found


async def standing_of(bench: Bench, run: RunRecord) -> Mapping[str, float]:
    report = (await report_on(bench, run.id))["mix"]
    assert isinstance(report, dict)
    (standing,) = report["standings"]
    return standing


async def warnings(bench: Bench, run: RunRecord) -> list[str]:
    events = await bench.store.runs.events(run.id)
    return [str(event.data["message"]) for event in events if event.type == "warning" and event.stage == "mix"]


async def test_right_answers_are_judged_and_say_what_a_verdict_is_worth(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        model = build_tiny_model(tmp_path / "tiny")
        without, given = await mixed(bench, model, ()), await mixed(bench, model, RIGHT)
        before, after = await calibration_of(bench, without), await calibration_of(bench, given)
        assert (before["gold"], after["gold"], after["labels"]) == (0, 10, 40)  # thirty are judged for people anyway
        assert set(keys_in(before)) < set(keys_in(after)) and before["weights"] == after["weights"]
        verdicts = await read_shards(bench.artifacts, keys_in(after), PrincipleVerdict)
        times = Counter((verdict.comparison_id, verdict.principle_id) for verdict in verdicts)
        assert set(times.values()) == {1}
        assert {id for id, _ in times} == {pair.id for pair in comparisons_of((*HUMAN, *RIGHT))}
        # People and the check are right in all thirty answers, so people agree nearly always, and (c / a)^2, the worth
        # of a check's verdict, is nearer to that of one label than people who agree in 72.6 % would have made it.
        one, other = await standing_of(bench, without), await standing_of(bench, given)
        assert (one["shared_votes"], other["shared_votes"]) == (40, 40)
        assert one["worth_high"] > other["worth_high"] and one["worth"] > other["worth"] > 0.5
        stages = await bench.store.runs.stages(given.id)
        named = f"Right answers had a part in the mix: the rows of set {given.references.gold_id}."
        assert named in notes_of(await open_context(given.id, bench.tools), stages, report_of(stages))
        assert not [said for said in await warnings(bench, given) if "gold" in said]
    finally:
        await bench.close()


async def test_what_is_no_right_answer_is_left_out_and_told(tmp_path: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        model = build_tiny_model(tmp_path / "tiny")
        held_out = next(prompt for prompt in prompts() if prompt.split == "held_out")
        leaked = replace(labelled(300, SHORT, LONG), prompt=held_out.messages)
        sure = labelled(301, SHORT, LONG)
        odd = (
            leaked,
            replace(labelled(302, SHORT, LONG), source="ai", judge="far"),
            replace(labelled(303, SHORT, LONG), p_chosen=0.5),
            replace(labelled(304, SHORT, LONG), per_principle=(("brevity", 1.0),)),
            labelled(305, SHORT, SHORT),
            labelled(306, SHORT, LONG),
            replace(labelled(306, LONG, SHORT), id="h306 again"),
            sure,
            replace(sure, id="h301 again"),
        )
        run = await mixed(bench, model, odd)
        found = await calibration_of(bench, run)
        verdicts = await read_shards(bench.artifacts, keys_in(found), PrincipleVerdict)
        asked = {verdict.comparison_id for verdict in verdicts}
        assert found["gold"] == 1 and asked == {pair.id for pair in comparisons_of((*HUMAN, sure))}
        assert [said for said in await warnings(bench, run) if "gold" in said] == [
            "1 rows of the gold set are not people's; left out",
            "1 gold pairs answer held-out prompts; they are left out of the training",
            "5 rows of the gold set are no right answer on the whole: a tie, one under a principle, or one that "
            "another row contradicts; left out",
            "1 rows of the gold set say what another says; each pair counts once",
        ]
        result = (await bench.store.runs.stages(run.id))["mix"].result
        rows = await read_shard(bench.artifacts, str(result["artifact"]), PreferenceRow)
        assert held_out.messages not in {row.prompt for row in rows}
        report = (await report_on(bench, run.id))["mix"]
        assert isinstance(report, dict) and report["gold_leaked"] == 1
        nothing = await mixed(bench, model, (leaked,))
        assert (await warnings(bench, nothing))[-1] == (
            "no row of the gold set is left, so the judge is measured by people's votes alone"
        )
    finally:
        await bench.close()

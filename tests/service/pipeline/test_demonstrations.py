"""A run that imitates demonstrations: an uploaded set's, or what people wrote in a label project."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import RunFailed
from service.exchange.preferences import read_preferences
from service.pipeline.context import open_context
from service.pipeline.demonstration_rows import demonstration_rows
from service.pipeline.stages import run_stage
from service.store.records import RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, prompts, report_on
from tests.service.pipeline.test_methods import unpacked, warnings
from tests.service.pipeline.test_sweeps import InThisProcess
from training.rows import PreferenceRow

TRAINING = {
    "method": "sft",
    "sft_on": "demonstrations",
    "lora_rank": 2,
    "learning_rate": 0.01,
    "epochs": 4,
    "pairs_per_step": 4,
}
STAGES = ("train", "evaluate", "bundle")


def written(*asked: str) -> tuple[PreferenceRow, ...]:
    """What an upload of TRL's lines makes of these prompts."""
    lines = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Ask a friend."}]}
        for text in asked
    ]
    return tuple(read_preferences("\n".join(map(json.dumps, lines)).encode(), "d.jsonl", "", None, "d.jsonl"))


async def go(bench: Bench, run: RunRecord) -> None:
    context = await open_context(run.id, replace(bench.tools, run_training=InThisProcess().run))
    for stage in run.request.stages:
        await run_stage(context, stage)


async def test_a_run_on_uploaded_demonstrations_leaves_an_adapter_and_its_proof(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        rows = written(*(f"What now, {n}?" for n in range(6)), "How do I do thing number 1?")
        machine = replace(rows[0], id="m1", source="ai")
        run = await add_run(
            bench,
            tiny,
            given=prompts(train=0, held_out=2),
            human=(*rows, machine),
            training=TRAINING,
            stages=STAGES,
            evaluate={"replies_per_prompt": 1, "max_tokens": 16},
        )
        await go(bench, run)
        assert await warnings(bench, run) == [
            "1 rows of the human set are not people's; left out",
            "1 human pairs answer held-out prompts; they are left out of the training",
        ]
        trained = (await bench.store.runs.stages(run.id))["train"].result
        assert (trained["rows"], trained["dropped"]) == (6, {})
        metrics = (await bench.artifacts.get(f"{trained['folder']}/metrics.jsonl")).decode().splitlines()
        losses = [json.loads(line)["loss"] for line in metrics]
        assert losses[-1] < 0.98 * losses[0]
        report = await report_on(bench, run.id)
        assert {one["id"] for one in report["principles"]} >= {"brevity", "kindness"}
        manifest = json.loads((await unpacked(bench, run, tmp_path) / "manifest.json").read_text())
        assert (manifest["method"], manifest["kind"]) == ("sft", "policy")
        named = (
            f"those that people wrote or chose: the rows of set {run.references.human_id}, of pairs the chosen replies."
        )
        assert f"The replies that were imitated are {named}" in manifest["notes"]
        assert not any("whose verdicts were trained on" in note for note in manifest["notes"])
    finally:
        await bench.close()


async def test_the_chosen_reply_of_a_pair_is_imitated_and_that_is_told(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        rows = tuple(replace(row, rejected="Do it yourself.") for row in written("What now?", "And then?"))
        rows += written("What else?")
        run = await add_run(bench, tiny, human=rows, training=TRAINING, stages=STAGES)
        assert await demonstration_rows(await open_context(run.id, bench.tools)) == rows
        assert await warnings(bench, run) == [
            "2 of 3 rows to imitate are pairs: the chosen reply of each is learnt, be it what a person wrote or a "
            "reply of a model that a person chose; ties are left out"
        ]
    finally:
        await bench.close()


async def test_nothing_left_to_imitate_says_why(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        rows = written("How do I do thing number 7?")
        run = await add_run(bench, tiny, human=rows, training=TRAINING, stages=STAGES)
        with pytest.raises(RunFailed, match=r"no demonstration to train on: 0 rows .* people's, and 1 answer held-out"):
            await go(bench, run)
    finally:
        await bench.close()

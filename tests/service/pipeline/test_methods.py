"""Runs of the other methods, on the scripted server and the tiny model, and rows that no trainer can learn from."""

import json
import tarfile
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from constitutions.canonical import constitution_sha256
from constitutions.loader import load_constitution
from judges.records import Message, Revision
from service.errors import RunFailed
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.schemas import Stage
from service.shards import keys_in, read_shard, read_shards, to_parquet
from service.store.records import ConstitutionRecord, JsonObject, RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, prompts, report_on
from training.bundle import verify_bundle
from training.configs import RewardConfig, config_from
from training.precision import resolve_numbers
from training.reward_rows import load_reward_rows
from training.rows import PreferenceRow
from training.tokenising import load_tokenizer

REWARD = {"method": "reward", "held_out_share": 0.34, "pairs_per_step": 4, "lora_rank": 2, "learning_rate": 0.01}
BEFORE_TRAINING: tuple[Stage, ...] = ("sample", "judge", "mix")


async def go(bench: Bench, run: RunRecord, *stages: Stage) -> None:
    context = await open_context(run.id, bench.tools)
    for stage in stages or run.request.stages:
        await run_stage(context, stage)


async def warnings(bench: Bench, run: RunRecord) -> list[str]:
    return [str(e.data["message"]) for e in await bench.store.runs.events(run.id, limit=1000) if e.type == "warning"]


async def unpacked(bench: Bench, run: RunRecord, folder: Path) -> Path:
    """The run's bundle, verified, as a folder."""
    adapter = await bench.store.adapters.of_run(bench.project, run.id)
    assert adapter is not None
    await bench.artifacts.get_file(adapter.artifact, folder / "bundle.tar.gz")
    verify_bundle(folder / "bundle.tar.gz")
    with tarfile.open(folder / "bundle.tar.gz") as tar:
        tar.extractall(folder / "bundle", filter="data")
    return folder / "bundle"


def scores(tiny: Path, adapter: Path, row: PreferenceRow) -> list[float]:
    """Of the row's replies, by transformers and peft alone, as the bundle's card says."""
    base = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter).eval()
    found = []
    for reply in (row.chosen, row.rejected):
        turns = [{"role": m.role, "content": m.content} for m in row.prompt] + [{"role": "assistant", "content": reply}]
        inputs = load_tokenizer(tiny).apply_chat_template(turns, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            found.append(model(**inputs).logits[0, 0].item())
    return found


async def test_a_reward_run_leaves_a_model_that_scores_and_its_evidence(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny, training=REWARD, given=prompts(held_out=0), evaluate={})
        await go(bench, run)
        report = await report_on(bench, run.id)
        held_out, normal = report["reward_model"]["held_out"], report["reward_model"]["normal"]
        assert held_out["prompts"] <= 2 and held_out["examples"] > 0
        assert {"accuracy", "low", "high", "longest_wins", "ece", "brier", "length_bias"} <= held_out.keys()
        assert (report["principles"], report["samples"], report["counts"]["evaluation_verdicts"]) == ([], [], 0)
        # The base's server alone: none was started for the adapter.
        assert len(list((bench.settings.folder / "logs").glob("engine-*.log"))) == 1

        bundle = await unpacked(bench, run, tmp_path)
        manifest = json.loads((bundle / "manifest.json").read_text())
        assert (manifest["kind"], manifest["method"], manifest["normal"]) == ("reward_model", "reward", normal)
        assert any("against the labels of the mixed rows" in note for note in manifest["notes"])
        assert not any("compared the held-out replies" in note for note in manifest["notes"])
        assert json.loads((bundle / "report.json").read_text())["reward_model"] == report["reward_model"]
        assert await of_trained_replies(bench, run, tiny, bundle / "adapter") == pytest.approx(
            normal["mean"], abs=1e-4 if resolve_numbers("auto").precision == "fp32" else 3e-2
        )
    finally:
        await bench.close()


async def of_trained_replies(bench: Bench, run: RunRecord, tiny: Path, adapter: Path) -> float:
    """The mean score over the different replies that were trained on, by plain peft."""
    mixed = (await bench.store.runs.stages(run.id))["mix"].result
    rows = await read_shard(bench.artifacts, str(mixed["artifact"]), PreferenceRow)
    knobs = {"model": str(tiny), "rows": "r", "output": "o", "held_out_share": REWARD["held_out_share"]}
    trained = load_reward_rows(config_from(knobs, RewardConfig, "test"), rows).train
    found = {
        (pair.row.prompt, reply): score
        for prompt in trained
        for pair in prompt.pairs
        for reply, score in zip((pair.row.chosen, pair.row.rejected), scores(tiny, adapter, pair.row), strict=True)
    }
    return sum(found.values()) / len(found)


async def test_a_share_of_few_prompts_that_is_none_is_told(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny, training={"method": "reward"})
        found: JsonObject = {"normal": {"mean": 0.0, "sd": 1.0, "replies": 4}, "held_out": None}
        await bench.store.runs.record_stage(run.id, "train", {"reward_model": found}, 1.0)
        await go(bench, run, "evaluate")
        assert (await report_on(bench, run.id))["reward_model"] == found
        assert await warnings(bench, run) == [
            "nothing was measured: the share of so few prompts is none; raise training.held_out_share"
        ]
    finally:
        await bench.close()


async def test_every_step_of_every_revision_is_imitated_while_the_checks_watch(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", good_share=0.0)
    try:
        training = {"method": "sft", "sft_on": "revisions", "lora_rank": 2, "held_out_share": 0.34}
        stages: tuple[Stage, ...] = ("sample", "revise", "train", "bundle")
        revise = {"replies_per_prompt": 1, "steps": 2, "max_tokens": 128}
        run = await add_run(bench, tiny, training=training, stages=stages, revise=revise)
        await go(bench, run)
        done = await bench.store.runs.stages(run.id)
        steps = await read_shards(bench.artifacts, keys_in(done["revise"].result), Revision)
        trained = done["train"].result
        assert trained["rows"] + trained["held_out"]["rows"] == len(steps) > trained["rows"] > 0
        metrics = [one.data for one in await bench.store.runs.events(run.id, limit=1000) if one.type == "metric"]
        assert 0 <= metrics[-1]["held_out_score_checks"] <= 1  # by the trainer's last look, and no judge
        manifest = json.loads((await unpacked(bench, run, tmp_path) / "manifest.json").read_text())
        assert (manifest["method"], manifest["kind"]) == ("sft", "policy")
    finally:
        await bench.close()


async def test_no_revision_at_all_is_an_error_that_names_the_knob(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny, training={"method": "sft", "sft_on": "revisions"})
        nothing: JsonObject = {"shards": [], "chains": [], "revised": 3, "revisions": 0, "abstentions": 3}
        await bench.store.runs.record_stage(run.id, "revise", nothing, 1.0)
        with pytest.raises(RunFailed, match=r"of 3 replies none was revised.*raise `revise\.replies_per_prompt`"):
            await go(bench, run, "train")
    finally:
        await bench.close()


def pair(n: int, p_chosen: float) -> PreferenceRow:
    asked = (Message("user", f"Hi, {n}?"),)
    return PreferenceRow(f"h{n}", f"h{n}", asked, "Hello.", "Go away.", p_chosen, 1.0, "human")


async def test_rows_that_are_all_ties_end_the_run_and_say_so(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny, training={"method": "reward", "held_out_share": 0.0})
        rows = (pair(1, 0.5), pair(2, 0.5))
        await bench.artifacts.put_new("preferences/ties.parquet", to_parquet(rows, PreferenceRow))
        await bench.store.runs.record_stage(run.id, "mix", {"artifact": "preferences/ties.parquet"}, 1.0)
        with pytest.raises(
            RunFailed, match=r"every row is a tie .*; add verdicts; mend it and resume the run, or start"
        ):
            await go(bench, run, "train")
    finally:
        await bench.close()


async def test_an_empty_mix_ends_the_run_and_names_the_knob(tmp_path: Path, tiny: Path) -> None:
    """No principle weighs, and the ratio lets no human pair in."""
    source = "name: one\nprinciples:\n  - {id: kindness, kind: judged, text: Be kind.}\n"
    bench = await open_bench(tmp_path / "home")
    try:
        sha256 = constitution_sha256(load_constitution(source))
        law = await bench.store.constitutions.add(
            ConstitutionRecord("", bench.project, "one", "1", sha256, "", source, "")
        )
        none = {"human": "people", "ratio": 0.0}
        run = await add_run(bench, tiny, constitution=law.id, human=(pair(1, 1.0),), mix=none, stages=BEFORE_TRAINING)
        with pytest.raises(RunFailed, match=r"no pair is left to train on: 0 machine pairs.*raise `mix\.ratio`"):
            await go(bench, run)
    finally:
        await bench.close()

"""What scores the replies of PPO and RLOO in a run: checks, the judge as far as it is fit, and a reward model; and the
checks alone those that SFT and DPO look at.
"""

import json
from pathlib import Path

import pytest

from constitutions.canonical import constitution_sha256
from constitutions.loader import load_constitution
from service.errors import InvalidInput, RunFailed
from service.pipeline.context import open_context
from service.pipeline.scoring import open_scoring, refuse_unfit_reward_adapter, watching_knobs
from service.pipeline.trainer_knobs import trainer_knobs
from service.store.records import AdapterRecord, ConstitutionRecord, RunRecord
from tests.service.pipeline.bench import Bench, add_run, model_record, open_bench, report_on
from tests.service.pipeline.test_methods import go, unpacked, warnings
from training.configs import PpoConfig, RewardConfig, config_from
from training.reward import train_reward
from training.rows import write_rows
from training.weights import file_sha256

from .test_methods import pair

STAGES = ("train", "evaluate", "bundle")
ONLINE = {"method": "ppo", "lora_rank": 2, "reply_tokens": 8, "pairs_per_step": 3, "replies_per_prompt": 2}
# The scripted judge takes a grade off for every ten words: it proves itself on these.
EXAMPLES = "".join(
    f"      - {{prompt: 'Hello, {n}?', better: 'Hello.', worse: '{'go away now ' * 6}'}}\n" for n in range(20)
)
JUDGED = f"""
name: graded
principles:
  - id: kindness
    kind: judged
    text: Answers are kind.
    examples:
{EXAMPLES}  - {{id: honesty, kind: judged, text: Answers are honest.}}
"""
CHECKED = "  - {id: brevity, kind: checked, text: Short., check: {max_words: 40}}\n"


async def add_law(bench: Bench, source: str) -> str:
    law = load_constitution(source)
    new = ConstitutionRecord("", bench.project, law.name, "1", constitution_sha256(law), "", source, "")
    return (await bench.store.constitutions.add(new)).id


async def add_reward_adapter(bench: Bench, tiny: Path, folder: Path) -> AdapterRecord:
    """A reward model as a run with method reward leaves it."""
    write_rows(folder / "rows.jsonl", [pair(n, 1.0) for n in range(4)])
    knobs = {"model": str(tiny), "rows": str(folder / "rows.jsonl"), "output": str(folder / "rm"), "lora_rank": 2}
    train_reward(config_from(knobs | {"precision": "fp32"}, RewardConfig, "test"))
    made: RunRecord = await add_run(bench, tiny)
    kept = f"trained/{made.id}"
    for name in ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "config.json", "result.json"):
        await bench.artifacts.put_file(f"{kept}/{Path(name).name}", folder / "rm" / name)
    await bench.store.runs.record_stage(made.id, "train", {"folder": kept}, 1.0)
    manifest = {"adapter_sha256": file_sha256(folder / "rm/adapter/adapter_model.safetensors")}
    new = AdapterRecord("", bench.project, made.id, "kind-scores", "adapters/x.tar.gz", "e" * 64, 1, manifest, "")
    return await bench.store.adapters.add(new)


async def test_checks_judge_and_reward_model_lead_to_a_proven_adapter(tmp_path: Path, tiny: Path) -> None:
    """The judge's server dies under the trainer, which goes on with a new one; the examination is not asked again."""
    crash = {"kind": "crash", "from_request": 45, "until_request": 46}
    bench = await open_bench(tmp_path / "home", faults=[crash])
    try:
        reward = await add_reward_adapter(bench, tiny, tmp_path)
        (tmp_path / "other").mkdir()
        other = await add_reward_adapter(bench, tiny, tmp_path / "other")
        training = ONLINE | {"judge_weight": 2.0, "reward_adapter": reward.id, "reward_weight": 0.5}
        training |= {"reward_ensemble": [other.id], "spread_weight": 0.5}
        law = await add_law(bench, JUDGED + CHECKED)
        run = await add_run(bench, tiny, constitution=law, training=training, reward_adapter=reward.id, stages=STAGES)
        await go(bench, run)
        trained = (await bench.store.runs.stages(run.id))["train"].result
        step, scores = trained["last_step"], trained["scores"]
        assert isinstance(step, dict) and isinstance(scores, dict) and {"kl", "reward"} <= step.keys()
        assert (trained["rows"], trained["steps"]) == (6, 2)
        parts = (step["score_checks"], step["score_judge"], step["score_reward_model"])
        assert step["score"] == pytest.approx(parts[0] + 2.0 * parts[1] + 0.5 * parts[2], abs=1e-5)
        assert scores["scored_by"] == {"checks": 1.0, "judge": 2.0, "reward_model": 0.5}
        assert [said for said in await warnings(bench, run) if "a model server died" in said] != []

        assert (await report_on(bench, run.id))["principles"] != []
        manifest = json.loads((await unpacked(bench, run, tmp_path) / "manifest.json").read_text())
        assert (manifest["method"], manifest["kind"]) == ("ppo", "policy")
        first, second = (
            {"name": "kind-scores", "sha256": one.manifest["adapter_sha256"], "licence": ""} for one in (reward, other)
        )
        assert (manifest["reward_model"], manifest["reward_ensemble"]) == (first, [second])
        assert manifest["config"]["principles"] == ["brevity", "kindness"]
        assert manifest["config"]["judge_protocol"] == "pointwise"
        assert str(tmp_path) not in json.dumps(manifest)
        assert "On 'honesty' the judge is unproven: its verdict weighs nothing." in manifest["notes"]
        assert any("checks 1, judge 2, reward_model 0.5" in note for note in manifest["notes"])
        config = manifest["config"]
        assert len(config["reward_model_1_sha256"]) == 64 and config["spread_weight"] == 0.5
        card = (tmp_path / "bundle" / "README.md").read_text()
        assert "reward model kind-scores (a LoRA" in card and "`kindness`: trusted" in card
        assert f"of the same ensemble (their mean scored) | `{other.manifest['adapter_sha256']}`" in card
        standing = (await report_on(bench, run.id))["qualification"]
        assert [one["verdict"] for one in standing["per_principle"]] == ["trusted", "unproven", "trusted"]
    finally:
        await bench.close()


async def test_ppo_keeps_the_chosen_replies_of_the_mixed_pairs_likely(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        stages = ("sample", "judge", "mix", "train", "bundle")
        run = await add_run(bench, tiny, training=ONLINE | {"ptx_weight": 0.5}, stages=stages)
        await go(bench, run)
        trained = (await bench.store.runs.stages(run.id))["train"].result
        step = trained["last_step"]
        assert isinstance(step, dict) and float(str(step["ptx_loss"])) > 0
        assert trained["rows"] == 6  # the prompts that it answers are the run's, not those of the pairs alone
        manifest = json.loads((await unpacked(bench, run, tmp_path) / "manifest.json").read_text())
        assert manifest["config"]["ptx_weight"] == 0.5 and len(manifest["config"]["ptx_rows_sha256"]) == 64
        assert str(tmp_path) not in json.dumps(manifest)
    finally:
        await bench.close()


# The check passes both replies of its example.
UNFIT = JUDGED + CHECKED.replace("}}\n", "}, examples: [{prompt: 'Hi?', better: 'Yes.', worse: 'No.'}]}\n")


async def test_a_judge_that_is_fit_for_nothing_leaves_no_score(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", taste="longer")
    try:
        law = await add_law(bench, UNFIT)
        training = ONLINE | {"judge_weight": 1.0}
        run = await add_run(bench, tiny, constitution=law, training=training, stages=("train",), evaluate={})
        with pytest.raises(
            RunFailed,
            match=r"nothing scores the replies: none of kindness \(harmful\), honesty \(unproven\), brevity "
            r"\(harmful\) has a weight, by the judge 'tiny', and no reward model has one; give the",
        ):
            await go(bench, run, "train")
        assert await warnings(bench, run) == [
            "the judge is not fit to grade by kindness (harmful), honesty (unproven); its grades are left out",
            "checks that fail their own examples weigh nothing: brevity (harmful)",
        ]
    finally:
        await bench.close()


async def test_the_settings_of_scores_that_are_left_out_are_none(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", taste="longer")
    try:
        reward = await add_reward_adapter(bench, tiny, tmp_path)
        training = ONLINE | {"judge_weight": 2.0, "judge_protocol": "proposition", "check_weight": 0.5}
        training |= {"reward_adapter": reward.id}
        law, stages = await add_law(bench, UNFIT), ("train",)
        run = await add_run(
            bench, tiny, constitution=law, training=training, reward_adapter=reward.id, stages=stages, evaluate={}
        )
        async with open_scoring(await open_context(run.id, bench.tools), tmp_path / "law.yaml", tmp_path) as scoring:
            knobs = trainer_knobs(run.request.training) | dict(scoring.knobs)
        told = config_from({"model": "m", "rows": "r", "output": "o"} | knobs, PpoConfig, "test")
        assert (told.judge_url, told.judge_weight, told.judge_protocol) == ("", 1.0, "pointwise")
        assert (told.constitution, told.check_weight) == (None, 1.0)
        assert scoring.left["scored_by"] == {"reward_model": 1.0}
    finally:
        await bench.close()


# The second one passes both replies of its example: it measures nothing.
WATCHED = """
name: watched
principles:
  - {id: plain, kind: checked, text: Plain., check: {plain_text: {}}}
  - {id: brevity, kind: checked, text: Short., check: {max_words: 40}, examples: [EXAMPLE]}
""".replace("EXAMPLE", "{prompt: 'Hi?', better: 'Yes.', worse: 'No.'}")


async def test_a_run_names_a_constitution_to_the_trainers_that_look_at_replies_alone(
    tmp_path: Path, tiny: Path
) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        law, path = await add_law(bench, WATCHED), tmp_path / "law.yaml"
        for training, knobs in (
            ({"method": "sft", "held_out_share": 0.5}, {"constitution": str(path), "principles": ["plain"]}),
            ({"method": "dpo"}, {"constitution": str(path), "principles": ["plain"]}),
            ({"method": "sft", "held_out_share": 0.0}, {}),  # nothing is held out: the trainer would refuse it
            ({"method": "reward", "held_out_share": 0.5}, {}),
            ({"method": "ppo", "held_out_share": 0.5}, {}),  # it scores what is learnt from
        ):
            run = await add_run(bench, tiny, constitution=law, training=training, evaluate={})
            assert watching_knobs(await open_context(run.id, bench.tools), path) == knobs
        reads = {"patience": 2, "patience_reads": "checks", "held_out_share": 0.5}
        unfit = "\n".join(line for line in WATCHED.splitlines() if "plain" not in line).replace("watched", "unfit")
        run = await add_run(bench, tiny, constitution=await add_law(bench, unfit), training=reads, evaluate={})
        with pytest.raises(
            RunFailed, match=r"patience_reads: no check passes its own examples \(brevity \(harmful\)\)"
        ):
            watching_knobs(await open_context(run.id, bench.tools), path)
        judged = await add_run(bench, tiny, constitution=await add_law(bench, JUDGED), training={"held_out_share": 0.5})
        assert watching_knobs(await open_context(judged.id, bench.tools), path) == {}
    finally:
        await bench.close()


def test_a_reward_adapter_is_one_of_the_runs_own_base(tiny: Path) -> None:
    model = model_record("prj", tiny)

    def adapter(kind: str, sha256: str | None) -> AdapterRecord:
        manifest = {"kind": kind, "method": "dpo", "base_model": {"name": "other", "sha256": sha256}}
        return AdapterRecord("adp_1", "prj", "run_1", "scores", "a", "b", 1, manifest, "")

    refuse_unfit_reward_adapter(adapter("reward_model", model.sha256), model)
    with pytest.raises(InvalidInput, match="'scores' was trained with dpo and gives no scores; name one of a run"):
        refuse_unfit_reward_adapter(adapter("policy", model.sha256), model)
    with pytest.raises(InvalidInput, match=r"'scores' was trained on the base 'other' \(0000.*run's model is 'tiny'"):
        refuse_unfit_reward_adapter(adapter("reward_model", "0" * 64), model)

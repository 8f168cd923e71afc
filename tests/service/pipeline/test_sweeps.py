"""A sweep: prompts kept back for it, adapters compared on them, and a run that was stopped between two of them."""

import asyncio
import contextlib
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from constitutions.loader import load_constitution
from judges.qualify import qualification_of
from judges.records import Message, Preference, PrincipleVerdict, Prompt
from service.errors import RunFailed
from service.pipeline.against_base import Meeting
from service.pipeline.children import Ended
from service.pipeline.context import open_context
from service.pipeline.development import split_development
from service.pipeline.people import people_of
from service.pipeline.qualification import qualification_in, qualification_json, qualification_to_compare
from service.pipeline.stages import run_stage
from service.pipeline.sweep import run_sweep, wins_of
from service.schemas import Stage, TrainingSettings
from service.shards import read_shard
from service.store.records import JsonObject, StageRecord
from tests.service.pipeline.bench import LAW, add_run, open_bench, prompts, report_on
from tests.service.pipeline.test_methods import unpacked, warnings
from tests.service.pipeline.test_scoring import CHECKED, JUDGED, add_law
from training.__main__ import main
from training.errors import NO_ADAPTER_STATUS
from training.rows import PreferenceRow

BETAS = TrainingSettings(sweep={"beta": (0.1, 0.3)}, development_share=0.4)


def asked(id: str, text: str, split: str = "train") -> Prompt:
    return Prompt(id, (Message("user", text),), split)


def test_development_prompts_are_neither_trained_on_nor_held_out_and_no_copy_of_them_is() -> None:
    given = [asked(f"p{n}", f"Question {n % 10}?") for n in range(20)]  # each question twice
    held_out = [asked("h", "Question 3?", "held_out")]
    split = split_development(given, held_out, BETAS, seed=0)
    kept_back = {prompt.messages for prompt in split.development}
    assert len(split.development) == len(kept_back) == 4  # 0.4 of the 9 that are not held out
    assert kept_back.isdisjoint(prompt.messages for prompt in (*split.train, *held_out))
    assert len(split.train) == 20 - 2 * 4
    assert {p.messages for p in split_development(given[::-1], held_out, BETAS, seed=0).development} == kept_back
    assert {p.messages for p in split_development(given, held_out, BETAS, seed=1).development} != kept_back
    assert split_development(given, held_out, TrainingSettings(), seed=0).train == tuple(given)


def test_too_few_prompts_to_keep_any_back_are_told() -> None:
    with pytest.raises(RunFailed, match=r"of 3 different training prompts a development_share of 0\.4 keeps 1"):
        split_development([asked(f"p{n}", f"Question {n}?") for n in range(3)], [], BETAS, seed=0)


def test_checks_and_judge_say_together_who_won() -> None:
    """A check kept against broken counts as 0.9, the judge's belief as it is."""
    law = load_constitution(LAW.format(version="1", kindness="Answers are kind."))
    one, other, third = prompts(held_out=0)[:3]
    meetings = [Meeting(one, "word " * 60, "Short."), Meeting(other, "Same.", "Same."), Meeting(third, "Yes.", "No.")]
    p_a = 0.8 if meetings[2].comparison.a == "No." else 0.2
    verdict = PrincipleVerdict(
        meetings[2].comparison.id, third.id, "kindness", "judged", "j", "0" * 64, Preference(p_a, p_a, p_a, 1.0)
    )
    wins = wins_of(meetings, [verdict], {"brevity": 1.0, "plain": 0.0, "kindness": 1.0}, law)
    assert wins[one.id] == [pytest.approx(0.9)]
    assert (wins[other.id], wins[third.id]) == ([0.5], [pytest.approx(0.8)])
    # No principle that weighs has said anything: that is no meeting, not a draw.
    assert third.id not in wins_of(meetings[2:], [], {"kindness": 1.0}, law)


class InThisProcess:
    """`python -m training` without a process: torch is imported here already. `asked` are the commands; it dies at the
    one of number `dies_at`, as a worker does that is killed."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.asked: list[str] = []
        self._dies_at = dies_at

    async def run(self, arguments: Sequence[str], log: Path, on_line: Callable[[str], Awaitable[None]]) -> Ended:
        if len(self.asked) == self._dies_at:
            raise ConnectionAbortedError("the worker was killed")
        self.asked.append(arguments[0])
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            status = await asyncio.to_thread(main, list(arguments))
        for line in told.getvalue().splitlines():
            await on_line(line)
        return Ended(status, "")


async def test_a_run_stopped_between_two_candidates_goes_on_with_the_second(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        training = {"method": "dpo", "lora_rank": 2, "learning_rate": 0.05, "pairs_per_step": 4}
        training |= {"sweep": {"beta": [0.2, 0.4]}, "development_share": 0.34}
        run = await add_run(bench, tiny, training=training, stages=("sample", "judge", "mix", "train", "bundle"))
        first, second = InThisProcess(dies_at=1), InThisProcess()
        context = await open_context(run.id, replace(bench.tools, run_training=first.run))
        for stage in ("sample", "judge", "mix"):
            await run_stage(context, stage)
        kept_back = {prompt.messages for prompt in context.development}
        assert (len(context.train), len(kept_back)) == (4, 2)
        mixed = (await bench.store.runs.stages(run.id))["mix"].result
        rows = await read_shard(bench.artifacts, str(mixed["artifact"]), PreferenceRow)
        assert rows and kept_back.isdisjoint(row.prompt for row in rows)

        with pytest.raises(ConnectionAbortedError):
            await run_stage(context, "train")
        context = await open_context(run.id, replace(bench.tools, run_training=second.run))
        await run_stage(context, "train")
        assert (first.asked, second.asked) == (["dpo"], ["dpo", "merge", "merge", "kl"])
        events = await bench.store.runs.events(run.id, limit=1000)
        tried = [e.data["beta"] for e in events if e.stage == "train" and e.type == "metric"]
        assert set(tried) == {0.2, 0.4} and tried == sorted(tried)
        progress = [(e.done, e.total) for e in events if e.stage == "train" and e.type == "progress"]
        # Three steps each, then four replies of base and adapter each, twice.
        assert {total for _, total in progress} == {22} and max(done for done, _ in progress) == 22

        await run_stage(context, "bundle")
        sweep = (await report_on(bench, run.id))["sweep"]
        assert [one["value"] for one in sweep["candidates"]] == [0.2, 0.4]
        assert (sweep["training_prompts"], sweep["development_prompts"]) == (4, 2)
        assert all(one["kl"]["kl"] > 0 and one["win_rate"]["prompts"] == 2 for one in sweep["candidates"])
        picked = next(one for one in sweep["candidates"] if one["value"] == sweep["picked"])
        manifest = json.loads((await unpacked(bench, run, tmp_path) / "manifest.json").read_text())
        assert manifest["sweep"] == sweep and manifest["adapter_sha256"] == picked["adapter_sha256"]
        assert manifest["config"]["beta"] == sweep["picked"] and manifest["config_sha256"] == picked["config_sha256"]
        assert any("picked of 2" in note and "2 development prompts" in note for note in manifest["notes"])
    finally:
        await bench.close()


class FailsOf(InThisProcess):
    """The trainer of these values breaks a limit before its first checkpoint."""

    def __init__(self, *betas: float) -> None:
        super().__init__()
        self._betas = betas

    async def run(self, arguments: Sequence[str], log: Path, on_line: Callable[[str], Awaitable[None]]) -> Ended:
        if arguments[0] == "dpo" and json.loads(Path(arguments[1]).read_text())["beta"] in self._betas:
            self.asked.append("failed")
            return Ended(NO_ADAPTER_STATUS, "error: step 1: kl is 9, beyond its limit 1, and no checkpoint is older")
        return await super().run(arguments, log, on_line)


async def test_a_value_that_leads_to_no_adapter_is_named_and_the_others_go_on(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        training = {"method": "dpo", "lora_rank": 2, "pairs_per_step": 4}
        training |= {"sweep": {"beta": [0.2, 0.4, 0.6]}, "development_share": 0.34}
        stages: tuple[Stage, ...] = ("sample", "judge", "mix", "train", "bundle")
        run = await add_run(bench, tiny, training=training, stages=stages)
        trainer = FailsOf(0.2, 0.6)
        context = await open_context(run.id, replace(bench.tools, run_training=trainer.run))
        for stage in stages[:3]:
            await run_stage(context, stage)
        await run_sweep(context)  # a run that is killed before the stage's result is kept asks nothing twice
        await run_stage(context, "train")
        assert trainer.asked == ["failed", "dpo", "failed", "merge", "kl", "kl"]
        reason = "step 1: kl is 9, beyond its limit 1, and no checkpoint is older"
        assert await warnings(bench, run) == [f"the sweep leaves beta {beta} out: {reason}" for beta in (0.2, 0.6)]
        sweep = (await report_on(bench, run.id))["sweep"]
        assert sweep["picked"] == 0.4 and [one["value"] for one in sweep["candidates"]] == [0.4]
        assert sweep["failed"] == [{"value": beta, "reason": reason} for beta in (0.2, 0.6)]
        await run_stage(context, "bundle")
        bundle = await unpacked(bench, run, tmp_path)
        manifest = json.loads((bundle / "manifest.json").read_text())
        assert manifest["sweep"] == sweep and f"No adapter came of beta 0.2: {reason}." in manifest["notes"]
        for page in ("README.md", "report.html"):
            assert f"No adapter came of beta 0.6: {reason}." in (bundle / page).read_text()

        run = await add_run(bench, tiny, training=training, stages=("sample", "judge", "mix", "train"))
        context = await open_context(run.id, replace(bench.tools, run_training=FailsOf(0.2, 0.4, 0.6).run))
        for stage in stages[:3]:
            await run_stage(context, stage)
        with pytest.raises(RunFailed, match=r"no value led to an adapter.*beta 0\.2: step 1.*0\.4: step 1.*0\.6: step"):
            await run_stage(context, "train")
    finally:
        await bench.close()


async def test_an_online_sweep_keeps_how_far_the_judge_that_compared_is_trusted(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        training = {"method": "rloo", "lora_rank": 2, "reply_tokens": 4, "pairs_per_step": 4, "replies_per_prompt": 2}
        training |= {"sweep": {"kl_weight": [0.1, 0.2]}, "development_share": 0.34}
        law, stages = await add_law(bench, JUDGED + CHECKED), ("train", "bundle")
        run = await add_run(bench, tiny, constitution=law, training=training, stages=stages)
        context = await open_context(run.id, replace(bench.tools, run_training=InThisProcess().run))
        for stage in run.request.stages:
            await run_stage(context, stage)
        development = (await bench.store.runs.stages(run.id))["train"].result["development"]
        assert isinstance(development, dict) and development["judged"] == ["kindness"]
        for shard in development["qualification_shards"]:
            assert await bench.artifacts.exists(shard)
        standing = (await report_on(bench, run.id))["qualification"]
        assert [one["verdict"] for one in standing["per_principle"]] == ["trusted", "unproven", "trusted"]
        bundle = await unpacked(bench, run, tmp_path)
        notes = json.loads((bundle / "manifest.json").read_text())["notes"]
        assert "On 'honesty' the judge is unproven: its verdict weighs nothing." in notes
        assert not any(note.startswith("In the picking") for note in notes)
        assert "`kindness`: trusted" in (bundle / "README.md").read_text()
    finally:
        await bench.close()


def test_where_a_judge_graded_and_compared_both_standings_are_told() -> None:
    law = load_constitution(LAW.format(version="1", kindness="Answers are kind."))
    graded, compared = (qualification_json(qualification_of(name, law, ())) for name in ("graded", "compared"))
    left: JsonObject = {"scores": {"qualification": graded}, "development": {"qualification": compared}}
    stages = {"train": StageRecord("train", left, 1.0, "")}
    assert (qualification_in(stages), qualification_to_compare(stages)) == (graded, compared)
    del left["scores"]
    assert qualification_in(stages) == qualification_to_compare(stages) == compared


async def test_peoples_pairs_on_development_prompts_are_left_out(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        given = prompts(train=10, held_out=1)
        human = tuple(
            PreferenceRow(p.id, p.id, p.messages, "Hello.", "Go away.", 1.0, 1.0, "human") for p in given[:10]
        )
        swept = {"sweep": {"beta": [0.1, 1]}}
        run = await add_run(bench, tiny, given=given, human=human, mix={"human": "people"}, training=swept)
        context = await open_context(run.id, bench.tools)
        people = await people_of(context)
        assert (len(context.development), people.leaked, len(people.rows)) == (2, 2, 8)
    finally:
        await bench.close()

"""A training that fails after a checkpoint: its adapter is the run's, and what takes memory may change on resuming."""

import asyncio
import contextlib
import io
import json
import re
import tarfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from judges.records import Message
from service.errors import InvalidInput, RunFailed, TrainerFailed
from service.pipeline.children import Ended
from service.pipeline.context import RunContext, open_context
from service.pipeline.scoring import refuse_unfit_reward_adapter
from service.pipeline.stages import run_stage
from service.pipeline.start import refuse_unfit_start
from service.pipeline.sweep import tasks_of
from service.pipeline.train import ensure_trained
from service.schemas import ResumeRequest, Stage
from service.shards import to_parquet
from service.store.database import SessionOfStore
from service.store.records import AdapterRecord, JsonObject, RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench
from tests.service.pipeline.test_methods import unpacked
from tests.training.test_bad_input import without_q  # noqa: F401 - a fixture
from tests.training.test_last_good import MemoryRunsOut
from training.__main__ import main
from training.bundle import verify_bundle
from training.mix import MixConfig, mix_rows
from training.rows import PreferenceRow
from training.schedule import Plan

# One row a step, in four steps.
TRAINING = {"method": "dpo", "lora_rank": 2, "pairs_per_step": 1, "checkpoint_every_steps": 1, "precision": "fp32"}
STAGES: tuple[Stage, ...] = ("sample", "judge", "mix", "train", "bundle")


class Trainer:
    """`python -m training` without a process, whose stdout is `out`."""

    def __init__(self, out: io.StringIO | None = None) -> None:
        self.out = io.StringIO() if out is None else out

    async def run(self, arguments: Sequence[str], log: Path, on_line: Callable[[str], Awaitable[None]]) -> Ended:
        said = io.StringIO()
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(said):
            status = await asyncio.to_thread(main, list(arguments))
        for line in self.out.getvalue().splitlines():
            await on_line(line)
        return Ended(status, said.getvalue().strip().rpartition("\n")[2])


def pairs(lost_at: int | None = None) -> tuple[PreferenceRow, ...]:
    """Four; step `lost_at` (from 0) meets the one with a letter of which the model makes no number."""
    broken = None if lost_at is None else Plan(4, 1, 1, 0).rows_of_step(lost_at)[0]
    asked = [Message("user", f"Letter {n}?") for n in range(4)]
    return tuple(
        PreferenceRow(f"r{n}", f"p{n}", (one,), "Q" * 60 if n == broken else "Yes.", "No, no.", 1.0, 1.0, "human")
        for n, one in enumerate(asked)
    )


async def add_mixed(bench: Bench, model: Path, rows: Sequence[PreferenceRow], **request: object) -> RunRecord:
    """A run on these rows, ready for the stage `train`."""
    run = await add_run(bench, model, **{"training": TRAINING, "stages": STAGES} | request)
    key = f"preferences/{run.id}.parquet"
    await bench.artifacts.put_new(key, to_parquet(rows, PreferenceRow))
    report: JsonObject = asdict(mix_rows(rows, [], MixConfig()).report)
    await bench.store.runs.record_stage(run.id, "mix", {"artifact": key, "report": report}, 1.0)
    return run


async def opened(bench: Bench, run: RunRecord, trainer: Trainer | None = None) -> RunContext:
    return await open_context(run.id, replace(bench.tools, run_training=(trainer or Trainer()).run))


async def adapters_of(bench: Bench, run: RunRecord) -> list[AdapterRecord]:
    return await bench.store.adapters.all_of_run(bench.project, run.id)


async def no_job(_session: SessionOfStore, _run_id: str, _attempt: int) -> None:
    """Nobody takes it: the test carries out the stages itself."""


async def test_a_lost_number_leaves_an_adapter_from_which_another_run_goes_on(
    tmp_path: Path,
    without_q: Path,  # noqa: F811 - the fixture
) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_mixed(bench, without_q, pairs(lost_at=2))
        for _ in range(2):  # resumed, it loses the same number, and has the same adapter
            with pytest.raises(TrainerFailed) as caught:
                await run_stage(await opened(bench, run), "train")
            [kept] = await adapters_of(bench, run)
        broken = Plan(4, 1, 1, 0).rows_of_step(2)[0]
        cause = f"row 'r{broken}': the loss is not a number; lower learning_rate, or look at the row"
        assert str(caught.value) == (
            f"the trainer ended with status 3: {cause}; the adapter of step 2 is kept as {kept.id}, for start_from of "
            "another run; start another run with other settings"
        )
        assert kept.last_good_step == 2 and await bench.store.adapters.of_run(bench.project, run.id) is None
        await bench.artifacts.get_file(kept.artifact, tmp_path / "kept.tar.gz")
        notes = verify_bundle(tmp_path / "kept.tar.gz").notes
        assert notes[0].startswith("The training failed after step 2, of which this adapter is") and cause in notes[0]
        with tarfile.open(tmp_path / "kept.tar.gz") as tar:
            metrics = tar.extractfile("metrics.jsonl")
            assert metrics is not None and [json.loads(line)["step"] for line in metrics] == [1, 2]
        assert str(tmp_path) not in json.dumps(kept.manifest)

        again = await add_mixed(bench, without_q, pairs(), start_from=kept.id)
        context = await opened(bench, again)
        refuse_unfit_start(again.request, kept, context.model)
        for stage in ("train", "bundle"):
            await run_stage(context, stage)
        manifest = json.loads((await unpacked(bench, again, tmp_path) / "manifest.json").read_text())
        weights = kept.manifest["adapter_sha256"]
        assert manifest["started_from"] == {"adapter": kept.id, "run": run.id, "adapter_sha256": weights}
        assert manifest["config"]["start_adapter_sha256"] == weights
    finally:
        await bench.close()


async def test_a_run_without_memory_is_resumed_with_less(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_mixed(bench, tiny, pairs())
        with pytest.raises(RunFailed) as caught:
            await run_stage(await opened(bench, run, Trainer(MemoryRunsOut(3))), "train")
        [kept] = await adapters_of(bench, run)
        said = str(caught.value)
        assert re.search(f"4: out of memory; lower tokens_per_batch.*the adapter of step 3 is kept as {kept.id}", said)
        assert "resume the run with a lower training.tokens_per_batch" in said and str(tmp_path) not in said
        assert caught.value.cause == "out_of_memory"

        runs = bench.store.runs
        assert await runs.move(run.id, "running") and await runs.move(run.id, "failed", error=said)
        less = ResumeRequest.model_validate({"training": {"tokens_per_batch": 64, "gradient_checkpointing": True}})
        run = await runs.resume(bench.project, run.id, no_job, less)
        assert run.request.training.tokens_per_batch == 64 and run.request.training.learning_rate == 1e-5
        told = (await runs.events(run.id))[-1].data["message"]
        assert told == "It goes on with training.tokens_per_batch 64, training.gradient_checkpointing True."
        trainer = Trainer()
        context = await opened(bench, run, trainer)
        for stage in ("train", "bundle"):
            await run_stage(context, stage)
        lines = map(json.loads, trainer.out.getvalue().splitlines())
        assert [line["done"] for line in lines if line["type"] == "progress"] == [3, 4]
        made = await bench.store.adapters.of_run(bench.project, run.id)
        assert made is not None and [one.id for one in await adapters_of(bench, run)] == [kept.id, made.id]
        assert isinstance(made.manifest["config"], dict) and made.manifest["config"]["tokens_per_batch"] == 64
    finally:
        await bench.close()


async def test_each_value_of_a_sweep_keeps_its_own(tmp_path: Path, without_q: Path) -> None:  # noqa: F811 - the fixture
    bench = await open_bench(tmp_path / "home")
    try:
        training = TRAINING | {"sweep": {"beta": [0.2, 0.4]}, "development_share": 0.34}
        run = await add_mixed(bench, without_q, pairs(lost_at=1), training=training)
        context = await opened(bench, run)
        assert run.request.training.sweep is not None
        for task in tasks_of(context, run.request.training.sweep, later=0):
            with pytest.raises(TrainerFailed, match=r"of beta .* is kept as adp_"):
                await ensure_trained(replace(context, tools=(await opened(bench, run)).tools), task)
        names = [one.name for one in await adapters_of(bench, run)]
        assert names == [f"small-{run.id}-value-{n}-step-1" for n in (1, 2)]
    finally:
        await bench.close()


async def test_a_reward_model_that_failed_scores_nothing(tmp_path: Path, without_q: Path) -> None:  # noqa: F811
    bench = await open_bench(tmp_path / "home")
    try:
        training = TRAINING | {"method": "reward", "held_out_share": 0.0}
        run = await add_mixed(bench, without_q, pairs(lost_at=2), training=training)
        context = await opened(bench, run)
        with pytest.raises(TrainerFailed, match=r"the adapter of step 2 is kept as adp_\w+; start another run with"):
            await run_stage(context, "train")
        [kept] = await adapters_of(bench, run)
        assert kept.manifest["kind"] == "reward_model"
        with pytest.raises(
            InvalidInput, match=r"training\.reward_adapter: the training of 'small-run_.*' failed after"
        ):
            refuse_unfit_reward_adapter(kept, context.model)
    finally:
        await bench.close()

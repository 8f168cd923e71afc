"""Servers that die or fail under a stage."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from judges.errors import JudgeUnavailable
from judges.records import Abstention
from service.errors import RunFailed
from service.pipeline.context import open_context
from service.pipeline.faults import refuse_faulty
from service.pipeline.stages import run_stage
from service.schemas import Stage
from tests.service.pipeline.bench import CONTEXT_TOKENS, Bench, add_run, model_record, open_bench
from tests.service.serving import free_port, judge_by_url
from training.tiny import build_tiny_model

DOWN = Abstention("server_error", "500")
UNWILLING = Abstention("refused", "I would rather not.")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("outcomes", [[], [None], [DOWN, None], [UNWILLING, UNWILLING, DOWN]])
def test_a_judge_that_mostly_answers_is_kept(outcomes: list[object]) -> None:
    refuse_faulty("j", outcomes)


def test_a_judge_that_mostly_fails_ends_the_run() -> None:
    with pytest.raises(RunFailed, match="'j' failed on 2 of 3"):
        refuse_faulty("j", [DOWN, None, DOWN])


async def test_a_judge_that_fails_to_revise_ends_the_run_and_keeps_nothing(tmp_path: Path, tiny: Path) -> None:
    faults = [{"kind": "garbage", "only": "critique"}, {"kind": "garbage", "only": "revise"}]
    bench = await open_bench(tmp_path / "home", faults=faults, good_share=0.0)
    try:
        run = await add_run(bench, tiny, stages=("sample", "revise"))
        context = await open_context(run.id, bench.tools)
        await run_stage(context, "sample")
        with pytest.raises(RunFailed, match="mend the judge"):
            await run_stage(context, "revise")
        assert not [key for key in await bench.artifacts.keys() if key.startswith("chains/")]
    finally:
        await bench.close()


async def test_a_slow_server_of_ours_has_not_failed(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", latency_s=0.5, good_share=0.0)
    stages: tuple[Stage, ...] = ("sample", "revise", "judge")
    try:
        run = await add_run(bench, tiny, stages=stages, judge={"model": "tiny", "timeout_s": 0.2})
        context = await open_context(run.id, bench.tools)
        for stage in stages:
            await run_stage(context, stage)
        assert (await bench.store.runs.stages(run.id))["revise"].result["revisions"] == 6
    finally:
        await bench.close()


async def test_a_judge_by_url_that_hangs_ends_the_run(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", good_share=0.0)
    try:
        run = await add_run(bench, tiny, stages=("sample", "revise"), judge={"model": "tiny", "timeout_s": 0.2})
        context = await open_context(run.id, bench.tools)
        await run_stage(context, "sample")
        async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as silent:
            url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/v1"
            far = replace(context, judge=replace(context.judge, url=url, path=None))
            with pytest.raises((RunFailed, JudgeUnavailable), match=r"0\.2 s|in a row"):
                await run_stage(far, "revise")
        assert not [key for key in await bench.artifacts.keys() if key.startswith("chains/")]
    finally:
        await bench.close()


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads until the client gives up."""
    await reader.read()
    writer.close()


async def kill_server(bench: Bench, folder: Path) -> None:
    """kill -9 of the first server for this folder, once it is up."""
    key = (str(folder), CONTEXT_TOKENS)
    while key not in bench.engines._engines:  # noqa: ASYNC110 - nobody tells when a server is up
        await asyncio.sleep(0.02)
    os.kill(bench.engines._engines[key].pid, signal.SIGKILL)


async def test_the_death_of_a_leased_server_is_counted(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    base = model_record(bench.project, tiny)
    try:
        async with bench.engines.leased(tiny, base):
            pass
        assert bench.engines.deaths() == 0  # stopped, not dead
        async with bench.engines.leased(tiny, base):
            await kill_server(bench, tiny)
            await bench.engines._engines[str(tiny), CONTEXT_TOKENS].wait()
            assert bench.engines.deaths() == 1
        assert bench.engines.deaths() == 1
    finally:
        await bench.close()


async def test_an_adapters_server_that_is_killed_is_started_again(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", latency_s=0.2)
    stages: tuple[Stage, ...] = ("sample", "judge", "mix", "train", "evaluate")
    try:
        run = await add_run(bench, tiny, stages=stages)
        context = await open_context(run.id, bench.tools)
        for stage in stages[:-1]:
            await run_stage(context, stage)
        killing = asyncio.create_task(kill_server(bench, context.scratch / "merged"))
        await run_stage(context, "evaluate")
        await killing
        warnings = [event for event in await bench.store.runs.events(run.id, limit=1000) if event.type == "warning"]
        assert any("a model server died" in str(event.data) for event in warnings)
    finally:
        await bench.close()


async def test_a_judge_by_url_that_is_down_is_found_before_anything_is_sampled(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        down = "http://127.0.0.1:1/v1"
        run = await add_run(bench, tiny, stages=("sample", "judge"), judge_url=down, judge={"model": "far"})
        with pytest.raises(RunFailed, match=r"'far' at .* cannot be reached"):
            await run_stage(await open_context(run.id, bench.tools), "sample")
        assert not [key for key in await bench.artifacts.keys() if key.startswith("samples/")]
    finally:
        await bench.close()


async def test_a_judge_without_the_letters_is_told_of_and_the_checks_go_on(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    port = free_port()
    try:
        with judge_by_url(tmp_path, port, taste="foreign"):
            run = await add_run(
                bench, tiny, stages=("sample",), judge_url=f"http://127.0.0.1:{port}/v1", judge={"model": "far"}
            )
            await run_stage(await open_context(run.id, bench.tools), "sample")
            assert not await warnings(bench, run.id)  # nothing here asks the judge
            run = await add_run(
                bench, tiny, stages=("sample", "judge"), judge_url=f"http://127.0.0.1:{port}/v1", judge={"model": "far"}
            )
            await run_stage(await open_context(run.id, bench.tools), "sample")
        (said,) = await warnings(bench, run.id)
        assert "does not write 'A' or 'B'" in said
    finally:
        await bench.close()


async def warnings(bench: Bench, run_id: str) -> list[str]:
    return [str(e.data["message"]) for e in await bench.store.runs.events(run_id) if e.type == "warning"]

"""The stages in order against the scripted server and the tiny model, in one process."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from judges.records import Message, PrincipleVerdict, Prompt, Sample
from service.engines import EnginePool
from service.errors import RunFailed
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.schemas import STAGES, Stage
from service.shards import keys_in, read_shards
from tests.service.pipeline.bench import CONTEXT_TOKENS, Bench, add_law, add_run, open_bench, prompts, report_on
from training.bundle import verify_bundle
from training.errors import ConfigError
from training.rows import PreferenceRow
from training.tiny import build_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


async def go(bench: Bench, run_id: str, stages: tuple[Stage, ...]) -> None:
    context = await open_context(run_id, bench.tools)
    for stage in stages:
        await run_stage(context, stage)


async def calls(bench: Bench, model: Path) -> Counter[str]:
    engine = bench.engines._engines[str(model), CONTEXT_TOKENS]
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=engine.endpoint.uds)) as http:
        return Counter((await http.get("http://localhost/calls")).json()["kinds"])


async def test_a_whole_run_leaves_adapter_and_report(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny)
        await go(bench, run.id, STAGES)
        report = await report_on(bench, run.id)
        assert report["counts"]["samples"] == 6 * 3
        # The check's verdicts and the judge's, on the same pairs.
        pairs = (await bench.store.runs.stages(run.id))["judge"].result["pairs"]
        assert report["counts"]["verdicts"] == 3 * pairs
        assert {one["id"] for one in report["principles"]} == {"brevity", "plain", "kindness", "joint"}
        assert report["preferences"]["ai"] == 0  # one example: the judge is unproven, and weighs nothing
        assert report["preferences"]["check"] > 0
        adapter = await bench.store.adapters.of_run(bench.project, run.id)
        assert adapter is not None and report["adapter"] == {"id": adapter.id, "sha256": adapter.sha256}
        bundle = tmp_path / "bundle.tar.gz"
        await bench.artifacts.get_file(adapter.artifact, bundle)
        assert verify_bundle(bundle).base_model.name == "tiny"
        events = await bench.store.runs.events(run.id)
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert [e.stage for e in events if e.type == "stage" and e.data.get("status") == "finished"] == list(STAGES)
        # Two principles of three are checked in no time: that tells nothing of when the judge is through.
        first_told = next(e for e in events if e.stage == "judge" and e.type == "progress")
        assert first_told.done and first_told.eta_s is None
    finally:
        await bench.close()


class OnCpu(EnginePool):
    """A pool on a machine without a GPU."""

    @property
    def side_by_side(self) -> bool:
        return True


async def test_four_bits_without_a_gpu_are_refused_before_anything_is_sampled(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    tools = replace(bench.tools, engines=OnCpu(bench.settings))
    try:
        wanted = {"pairs_per_step": 4, "max_tokens": 2048, "quantise": "nf4"}
        run = await add_run(bench, tiny, training=wanted)
        with pytest.raises(ConfigError, match="quantise: nf4 needs a CUDA GPU"):
            await run_stage(await open_context(run.id, tools), "sample")
        assert await bench.store.runs.stages(run.id) == {}
        assert [event.stage for event in await bench.store.runs.events(run.id)] == [None]  # that it is queued
        # What trains nothing needs no GPU.
        untrained = await add_run(bench, tiny, training=wanted, stages=("sample",))
        await run_stage(await open_context(untrained.id, tools), "sample")
    finally:
        await tools.engines.close()
        await bench.close()


async def test_only_the_edited_principle_is_judged_again(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    stages: tuple[Stage, ...] = ("sample", "judge")
    try:
        first = await add_run(bench, tiny, stages=stages)
        await go(bench, first.id, stages)
        before = await calls(bench, tiny)
        pairs = (await bench.store.runs.stages(first.id))["judge"].result["pairs"]
        # Both orders of every pair and of the one example.
        assert before == {"sample": 18, "compare": 2 * (pairs + 1)}

        same = await add_run(bench, tiny, stages=stages)
        await go(bench, same.id, stages)
        assert await calls(bench, tiny) == before + Counter(compare=2)  # the example again: its anchor

        law = await add_law(bench, "2", "Answers are warm.")
        edited = await add_run(bench, tiny, constitution=law, stages=stages)
        await go(bench, edited.id, stages)
        assert await calls(bench, tiny) == {"sample": 18, "compare": 2 * before["compare"] + 2}
    finally:
        await bench.close()


async def test_each_row_is_there_once(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    stages: tuple[Stage, ...] = ("sample", "revise", "judge")
    try:
        run = await add_run(bench, tiny, stages=stages)
        await go(bench, run.id, stages)
        done = await bench.store.runs.stages(run.id)
        samples = await read_shards(bench.artifacts, keys_in(done["sample"].result), Sample)
        assert len({s.id for s in samples}) == len(samples) == 18
        verdicts = await read_shards(bench.artifacts, keys_in(done["judge"].result), PrincipleVerdict)
        assert len({(v.comparison_id, v.principle_id) for v in verdicts}) == len(verdicts)
    finally:
        await bench.close()


async def test_no_weight_and_no_human_pair_is_an_error(tmp_path: Path, tiny: Path) -> None:
    law = "name: one\nprinciples:\n  - {id: kindness, kind: judged, text: Be kind.}\n"
    bench = await open_bench(tmp_path / "home")
    stages: tuple[Stage, ...] = ("sample", "judge", "mix")
    try:
        from constitutions.canonical import constitution_sha256
        from constitutions.loader import load_constitution
        from service.store.records import ConstitutionRecord

        parsed = load_constitution(law)
        record = ConstitutionRecord("", bench.project, "one", "1", constitution_sha256(parsed), "", law, "")
        id = (await bench.store.constitutions.add(record)).id
        run = await add_run(bench, tiny, constitution=id, stages=stages)
        with pytest.raises(RunFailed, match=r"kindness \(unproven\).*allow_unqualified"):
            await go(bench, run.id, stages)
        human = (PreferenceRow("h1", "h1", (Message("user", "Hi"),), "Hello.", "Go away.", 1.0, 1.0, "human"),)
        with_people = await add_run(bench, tiny, constitution=id, stages=stages, human=human)
        await go(bench, with_people.id, stages)
        assert (await report_on(bench, with_people.id))["preferences"]["human"] == 1
        # A set whose only pair answers a held-out prompt leaves no human pair either.
        held_out = next(prompt for prompt in prompts() if prompt.split == "held_out")
        leaked = (PreferenceRow("h2", "h2", held_out.messages, "So.", "No.", 1.0, 1.0, "human"),)
        without = await add_run(bench, tiny, constitution=id, stages=stages, human=leaked)
        with pytest.raises(RunFailed, match=r"kindness \(unproven\).*allow_unqualified"):
            await go(bench, without.id, stages)
        lifted = {"model": with_people.references.judge_id, "allow_unqualified": ["kindness"]}
        allowed = await add_run(bench, tiny, constitution=id, stages=stages, judge=lifted)
        await go(bench, allowed.id, stages)
        assert (await report_on(bench, allowed.id))["preferences"]["ai"] > 0
    finally:
        await bench.close()


async def test_a_prompt_that_does_not_fit_is_named_before_sampling(tmp_path: Path, tiny: Path) -> None:
    long = Prompt("epic", (Message("user", "word " * 5000),))
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny, given=(Prompt("p0", (Message("user", "Hi"),)), long), stages=("sample",))
        with pytest.raises(RunFailed, match=r"prompt 'epic' \(number 2"):
            await go(bench, run.id, ("sample",))
        assert not [key for key in await bench.artifacts.keys() if key.startswith("samples/")]
    finally:
        await bench.close()


async def test_a_held_out_prompt_that_does_not_fit_is_named_before_sampling(tmp_path: Path, tiny: Path) -> None:
    given = (Prompt("p0", (Message("user", "Hi"),)), Prompt("epic", (Message("user", "word " * 5000),), "held_out"))
    bench = await open_bench(tmp_path / "home")
    try:
        unheard = await add_run(bench, tiny, given=given, stages=("sample",))
        await go(bench, unheard.id, ("sample",))  # nobody will ask it
        there = await bench.artifacts.keys()
        run = await add_run(bench, tiny, given=given, seed=1)
        with pytest.raises(RunFailed, match=r"prompt 'epic' \(number 1 .*lower evaluate\.max_tokens"):
            await go(bench, run.id, ("sample",))
        assert await bench.artifacts.keys() == there
        assert await bench.store.runs.stages(run.id) == {}
    finally:
        await bench.close()


async def test_a_failing_judge_ends_the_run_and_keeps_nothing(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", faults=[{"kind": "garbage", "only": "compare"}])
    stages: tuple[Stage, ...] = ("sample", "judge")
    try:
        run = await add_run(bench, tiny, stages=stages)
        with pytest.raises(RunFailed, match="failed on 1 of 1 questions"):
            await go(bench, run.id, stages)
        assert "judge" not in await bench.store.runs.stages(run.id)
    finally:
        await bench.close()


async def test_an_unknown_model_folder_fails_first(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    gone = build_tiny_model(tmp_path / "gone")
    try:
        run = await add_run(bench, gone)
        (gone / "config.json").unlink()
        with pytest.raises(RunFailed, match="there is no model folder"):
            await open_context(run.id, bench.tools)
    finally:
        await bench.close()


async def test_a_killed_server_is_started_again(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home", faults=[{"kind": "crash", "from_request": 9, "until_request": 10}])
    try:
        run = await add_run(
            bench,
            tiny,
            stages=("sample",),
            given=tuple(Prompt(f"p{i}", (Message("user", f"Question {i}?"),)) for i in range(3)),
            sample={"replies_per_prompt": 2, "max_tokens": 64},
        )
        await go(bench, run.id, ("sample",))
        assert (await bench.store.runs.stages(run.id))["sample"].result["samples"] == 6
    finally:
        await bench.close()

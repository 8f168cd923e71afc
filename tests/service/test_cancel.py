"""Cancel, through the real processes: five seconds later nothing of the run is left, and resume loses nothing."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from judges.guard import session_members
from judges.records import Sample
from service.schemas import Stage
from service.shards import keys_in, read_shards
from tests.service.pipeline.bench import Bench, add_run, open_bench, prompts
from tests.service.serving import Serving, api, count, finished, published, resume, until

PROMISE_S = 5.0
# What Python runs first in every process of the service. A trainer becomes one that notes SIGTERM and stays, with a
# child that does not even note it and holds the trainer's stdout.
DEAF_TRAINER = """
import os, signal, subprocess, sys, time

def stay(*_):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write("SIGTERM\\n")
    time.sleep(600)

if "training" in sys.orig_argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"]})
    signal.signal(signal.SIGTERM, stay)
"""


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a service whose trainers are deaf."""
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DEAF_TRAINER)
    yield {"PYTHONPATH": str(folder), "NOTES": str(tmp_path / "notes")}


async def cancel(http: httpx.AsyncClient, bench: Bench, run_id: str, processes: list[psutil.Process]) -> None:
    """Cancel it; five seconds after the answer the run is cancelled and none of the processes lives."""
    answer = await http.post(f"/v1/runs/{run_id}/cancel")
    accepted = time.monotonic()
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
    assert (await finished(bench, run_id)).status == "cancelled"
    await until(lambda: not any(alive(process) for process in processes))
    assert time.monotonic() - accepted < PROMISE_S


def alive(process: psutil.Process) -> bool:
    """Not ended; what is left of an orphan until the system's first process has buried it does nothing any more."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_cancel_while_sampling(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "h", latency_s=0.1)
    # Two replies to each of 48 prompts, in three shards, eight at a time.
    sample = {"replies_per_prompt": 2, "max_tokens": 128}
    run = await add_run(bench, tiny, given=prompts(train=48, held_out=0), stages=("sample",), sample=sample)
    serving = Serving(tmp_path / "h", CHARTER_ENGINE_CONCURRENCY="8")
    try:
        async with api(serving, bench) as http:
            await until(lambda: (tmp_path / "h" / "artifacts" / "samples").exists() and len(samples_in(bench)))
            engine = serving.descendants("judges.scripted --uds")
            await cancel(http, bench, run.id, [])
            there = samples_in(bench)
            assert 0 < len(there) < 3
            before = await calls(bench)
            assert await calls(bench) == before  # nobody goes on asking
            assert engine and all(alive(process) for process in engine)  # it is shared

            await resume(http, bench, run.id)
            assert all(alive(process) for process in engine)
            assert samples_in(bench).items() >= there.items()
            await assert_sampled_once(bench, run.id, await calls(bench), there)
    finally:
        serving.stop()
        await bench.close()


def samples_in(bench: Bench) -> dict[str, tuple[int, int]]:
    return {key: file for key, file in published(bench).items() if key.startswith("samples/")}


async def calls(bench: Bench) -> list[str]:
    """The last message of each request that the shared server got, in order."""
    (path,) = (bench.settings.folder / "sockets").glob("*.sock")
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as http:
        bodies = (await http.get("http://localhost/calls")).json()["bodies"]
    return [body["messages"][-1]["content"] for body in bodies]


async def assert_sampled_once(
    bench: Bench, run_id: str, asked: list[str], before_cancel: dict[str, tuple[int, int]]
) -> None:
    """Each row is there once, and for those of a shard that was finished before the cancel, nobody asked again."""
    shards = keys_in((await bench.store.runs.stages(run_id))["sample"].result)
    assert set(shards) == set(samples_in(bench))
    samples = await read_shards(bench.artifacts, shards, Sample)
    assert sorted((s.prompt_id, s.index) for s in samples) == sorted((f"p{p}", i) for p in range(48) for i in range(2))
    text = {prompt.id: prompt.messages[-1].content for prompt in prompts(train=48, held_out=0)}
    done = await read_shards(bench.artifacts, before_cancel, Sample)
    assert {asked.count(text[sample.prompt_id]) for sample in done} == {2}


async def test_cancel_of_a_deaf_trainer_with_a_child(tmp_path: Path, tiny: Path, deaf: dict[str, str]) -> None:
    bench = await open_bench(tmp_path / "h")
    stages: tuple[Stage, ...] = ("sample", "judge", "mix", "train")
    training = {"pairs_per_step": 1, "max_tokens": 2048, "lora_rank": 2, "epochs": 4}
    given, compare = prompts(train=8, held_out=0), {"pairs_per_prompt": 1}
    run = await add_run(bench, tiny, given=given, stages=stages, training=training, compare=compare)
    serving = Serving(tmp_path / "h", **deaf)
    try:
        async with api(serving, bench) as http:
            metrics = tmp_path / "h" / "scratch" / run.id / "train" / "output" / "metrics.jsonl"
            # One checkpoint at least is there to go on from.
            await until(lambda: metrics.exists() and metrics.read_text().count("\n") > 12)
            (trainer,) = serving.descendants("-m training")
            processes = [psutil.Process(pid) for pid in session_members(trainer.pid)]
            engine = serving.descendants("judges.scripted --uds")
            there = published(bench)
            assert "sleep" in {process.name() for process in processes} and trainer in processes
            await cancel(http, bench, run.id, processes)
            # It was asked first, and had not ended by itself.
            assert Path(deaf["NOTES"]).read_text() == "SIGTERM\n"
            assert "train" not in await bench.store.runs.stages(run.id)
            assert engine and all(alive(process) for process in engine)
            steps = metrics.read_text().count("\n")

            await resume(http, bench, run.id)
            assert published(bench).items() >= there.items()
            await assert_trained_once(bench, run.id, steps)
    finally:
        serving.stop()
        await bench.close()


async def assert_trained_once(bench: Bench, run_id: str, steps_before: int) -> None:
    """Every step is there once, the trainer went on from a checkpoint, and no other stage began twice."""
    done = (await bench.store.runs.stages(run_id))["train"].result
    lines = (await bench.artifacts.get(f"trained/{run_id}/metrics.jsonl")).decode().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == list(range(1, count(done, "steps") + 1)) and steps_before < len(steps)
    events = await bench.store.runs.events(run_id, limit=100_000)
    resumed = [event.seq for event in events if event.data.get("status") == "queued"][-1]
    trained = [event.done or 0 for event in events if event.type == "metric" and event.seq > resumed]
    assert trained[0] >= 10
    assert {event.stage for event in events if event.seq > resumed and event.stage} == {"train"}

"""kill -9 at twenty random moments, over worker, service and trainer: the run goes on by itself and loses nothing.

Real processes: `service.serve` with its worker, the scripted model server, the tiny model. Set CHARTER_KILL_SEED to
see a printed seed again.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from judges.records import PrincipleVerdict, Sample
from service.pipeline.children import MOST_DEATHS_WITHOUT_PROGRESS
from service.schemas import STAGES
from service.shards import keys_in, read_shards
from service.store.records import EventRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, prompts
from tests.service.serving import Serving

KILLS = 20
# At most so many in one stage, or the first would take them all; the trainer lives in one of them only. Short stages
# may pass between two looks: the last one takes what is left.
AT_MOST = {"sample": 4, "revise": 4, "judge": 4, "train": 8, "evaluate": KILLS}
WITHIN_S = 900.0


@pytest.fixture
def seed() -> Iterator[int]:
    seed = int(os.environ.get("CHARTER_KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"CHARTER_KILL_SEED={seed}")
    yield seed


def kill_one(serving: Serving, chance: random.Random, trainer_too: bool, first: bool) -> str:
    """kill -9 of somebody; returns who it was, empty where nobody of that kind lives."""
    # The trainer lives for a short part of the run: while it does, the first and half of the others are its.
    others = ["service.worker", "service.serve"]
    trains = trainer_too and serving.descendants("-m training") and (first or chance.random() < 0.5)
    who = "training" if trains else chance.choice(others)
    if who == "service.serve":
        serving.process.kill()
        serving.process.wait()
        return who
    victims = serving.descendants(f"-m {who}")
    if not victims:
        return ""
    with contextlib.suppress(psutil.NoSuchProcess):
        victims[0].kill()
    return who


@pytest.mark.timeout(960)
async def test_twenty_kills_lose_nothing(tmp_path: Path, tiny: Path, seed: int) -> None:
    chance = random.Random(seed)
    bench = await open_bench(tmp_path / "h", latency_s=0.05)
    run = await add_run(bench, tiny, given=prompts(train=36, held_out=4), training=TRAINING)
    serving = Serving(tmp_path / "h")
    killed: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    deaths_at: Counter[int] = Counter()
    seen = (await newest_event(bench, run.id)).seq
    deadline = time.monotonic() + WITHIN_S
    try:
        while (status := (await bench.store.runs.get_any(run.id)).status) in ("queued", "running"):
            assert time.monotonic() < deadline, f"still {status} after {killed} in {stages}"
            serving.revive()
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            # Only what is at work can lose something: after each kill the run gets on first.
            newest = await newest_event(bench, run.id)
            stage = newest.stage or ""
            wanted = killed.total() < KILLS and newest.seq > seen and stages[stage] < AT_MOST.get(stage, 0)
            step = await furthest_step(bench, run.id)
            # A trainer killed oftener than this at one step is given up, and rightly.
            trainer_too = deaths_at[step] < MOST_DEATHS_WITHOUT_PROGRESS
            if wanted and (who := kill_one(serving, chance, trainer_too, first=not killed["training"])):
                killed[who] += 1
                deaths_at[step] += who == "training"
                stages[stage] += 1
                seen = (await newest_event(bench, run.id)).seq
        record = await bench.store.runs.get_any(run.id)
        assert record.status == "succeeded", record.error
        assert killed.total() == KILLS and len(killed) == 3
        await assert_complete(bench, run.id)
    finally:
        print(f"killed: {dict(killed)} in {dict(stages)}")
        serving.stop()
        await bench.close()


TRAINING = {"pairs_per_step": 4, "max_tokens": 2048, "lora_rank": 2}


async def newest_event(bench: Bench, run_id: str) -> EventRecord:
    return (await bench.store.runs.events(run_id, limit=100_000))[-1]


async def furthest_step(bench: Bench, run_id: str) -> int:
    events = await bench.store.runs.events(run_id, limit=100_000)
    return max((e.done or 0 for e in events if e.stage == "train" and e.type == "metric"), default=0)


async def assert_complete(bench: Bench, run_id: str) -> None:
    """Every stage once, every row once."""
    done = await bench.store.runs.stages(run_id)
    assert set(done) == set(STAGES)
    shards = keys_in(done["sample"].result)
    samples = await read_shards(bench.artifacts, shards, Sample)
    assert len(set(shards)) == len(shards)
    assert sorted((s.prompt_id, s.index) for s in samples) == sorted((f"p{p}", i) for p in range(36) for i in range(3))
    verdicts = await read_shards(bench.artifacts, keys_in(done["judge"].result), PrincipleVerdict)
    assert (
        len({(v.comparison_id, v.principle_id) for v in verdicts}) == len(verdicts) == done["judge"].result["verdicts"]
    )
    # A shard made twice with other texts would have left a second file.
    held = keys_in(done["evaluate"].result, "before") + keys_in(done["evaluate"].result, "after")
    assert {k for k in await bench.artifacts.keys() if k.startswith("samples/")} == {*shards, *held}
    assert await bench.store.adapters.of_run(bench.project, run_id) is not None

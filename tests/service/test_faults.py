"""A judge by URL that turns bad, and a disk that is full, through the real processes: a clear error, and nothing lost.

Full is a limit on the size of files (RLIMIT_FSIZE): the system refuses the write, and no right to mount is needed.
"""

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from judges.records import Message, PrincipleVerdict, Prompt
from service.schemas import Stage
from service.shards import keys_in, read_shards
from service.store.records import RunRecord
from tests.service.pipeline.bench import Bench, add_run, open_bench, prompts
from tests.service.serving import Serving, api, asked, finished, free_port, judge_by_url, published, resume, until

JUDGED: tuple[Stage, ...] = ("sample", "judge")
# 48 prompts are three groups, of 32 questions each, and two groups are judged at once. So after 4 questions (whether it
# writes each letter, and the one example in both orders) and two groups' 64, one group is done; after 96, all are.
EXAMINATION, GOOD_ANSWERS, QUESTIONS = 2, 72, 96
ANCHOR = 2  # the one example once more, in the resumed run: it was asked before


@dataclass(frozen=True, slots=True)
class Live:
    """A service, its store, and a client."""

    serving: Serving
    bench: Bench
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
def shared_serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("faults")
    (home / "behaviour.json").write_text("{}")
    serving = Serving(home, CHARTER_ENGINE_CONCURRENCY="1", CHARTER_LEASE_S="60")
    yield serving
    serving.stop()


@pytest.fixture
async def live(shared_serving: Serving) -> AsyncIterator[Live]:
    """One service for all judges: each test has its own run."""
    bench = await open_bench(shared_serving.log_file.parent)
    async with api(shared_serving, bench) as http:
        yield Live(shared_serving, bench, http)
    await bench.close()


async def judged_run(live: Live, tiny: Path, port: int, timeout_s: float = 30.0) -> RunRecord:
    """48 pairs, one judged principle, four questions at once."""
    return await add_run(
        live.bench,
        tiny,
        given=prompts(train=48, held_out=0),
        stages=JUDGED,
        sample={"replies_per_prompt": 2, "max_tokens": 128},
        compare={"pairs_per_prompt": 1},
        judge_url=f"http://127.0.0.1:{port}/v1",
        judge={"model": "far", "timeout_s": timeout_s, "concurrency": 4},
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "cannot be reached"),
        ("garbage", "not JSON"),
        ("429", r"is busy \(429\)"),
        ("500", "failed with status 500"),
        ("hang", "did not answer within 1 s"),
    ],
)
async def test_a_judge_that_turns_bad(live: Live, tiny: Path, fault: str, said: str) -> None:
    port = free_port()
    faults = [{"kind": fault, "from_request": GOOD_ANSWERS, "seconds": 0}]
    with judge_by_url(live.bench.settings.folder, port, faults=faults):
        run = await judged_run(live, tiny, port, timeout_s=1.0 if fault == "hang" else 30.0)
        run = await finished(live.bench, run.id)
    assert run.status == "failed"
    assert re.fullmatch(rf"stage judge: .*'far' at http://127\.0\.0\.1:{port}.*{said}.*resume the run", run.error or "")
    there = published(live.bench)
    with judge_by_url(live.bench.settings.folder, port):
        await resume(live.http, live.bench, run.id)
        well = await asked(port)
    assert published(live.bench).items() >= there.items()
    await assert_judged_once(live.bench, run.id)
    # What was answered for before is not asked again.
    shards = keys_in((await live.bench.store.runs.stages(run.id))["judge"].result)
    kept = await read_shards(live.bench.artifacts, [key for key in shards if key in there], PrincipleVerdict)
    answered = sum(verdict.kind == "judged" for verdict in kept)
    assert answered >= 16 and well == {"compare": ANCHOR + QUESTIONS - 2 * answered}


async def test_a_judge_that_is_busy_for_a_while(live: Live, tiny: Path) -> None:
    port = free_port()
    busy = [
        {"kind": "429", "until_request": 2, "seconds": 1},
        {"kind": "429", "from_request": 30, "until_request": 50, "seconds": 1},
    ]
    with judge_by_url(live.bench.settings.folder, port, faults=busy):
        run = await finished(live.bench, (await judged_run(live, tiny, port)).id)
        assert run.status == "succeeded", run.error
        assert await asked(port) == {"probe": 2 + 2, "compare": EXAMINATION + QUESTIONS + 20}  # and the refusals
    await assert_judged_once(live.bench, run.id)
    assert (await live.bench.store.runs.stages(run.id))["judge"].result["abstentions"] == 0


async def assert_judged_once(bench: Bench, run_id: str) -> None:
    """One verdict for each of the pairs and principles."""
    done = (await bench.store.runs.stages(run_id))["judge"].result
    verdicts = await read_shards(bench.artifacts, keys_in(done), PrincipleVerdict)
    rows = {(verdict.comparison_id, verdict.principle_id) for verdict in verdicts}
    assert len(rows) == len(verdicts) == done["verdicts"] == 3 * 48


@pytest.fixture
def full(live: Live) -> Iterator[Callable[[int], None]]:
    """Call it with the size that no file may exceed; -1 makes room again, and so does the end of the test."""
    yield live.serving.limit_files
    live.serving.limit_files(-1)


async def test_a_full_disk_under_an_artifact(live: Live, tiny: Path, full: Callable[[int], None]) -> None:
    # Ten prompts of one long word each: their comparisons are some 8 MB, the database is smaller.
    given = tuple(Prompt(f"long{i}", (Message("user", secrets.token_urlsafe(750_000)),)) for i in range(10))
    await until(lambda: live.serving.descendants("service.worker"))
    before = folder(live.bench, "comparisons")
    run = await add_run(live.bench, tiny, given=given, stages=JUDGED, compare={"pairs_per_prompt": 1})
    full(6_000_000)
    failed = await finished(live.bench, run.id)
    said = r"stage judge: no space left to write 'comparisons/[0-9a-f]+\.parquet'; free some, .*or resume the run"
    assert failed.status == "failed" and re.fullmatch(said, failed.error or ""), failed.error
    assert folder(live.bench, "comparisons") == before
    full(-1)
    await resume(live.http, live.bench, run.id)


async def test_a_full_disk_under_a_trainer(live: Live, tiny: Path, full: Callable[[int], None]) -> None:
    stages: tuple[Stage, ...] = ("sample", "judge", "mix", "train")
    # The adapter alone is 8 MB.
    training = {"lora_rank": 1024, "pairs_per_step": 4}
    await until(lambda: live.serving.descendants("service.worker"))
    given, compare = prompts(train=4, held_out=0), {"pairs_per_prompt": 1}
    run = await add_run(live.bench, tiny, given=given, stages=stages, training=training, compare=compare)
    full(6_000_000)
    failed = await finished(live.bench, run.id)
    assert failed.status == "failed"
    assert re.fullmatch(
        r"stage train: .*File too large \(.*/checkpoints/.*\).*free space.*resume the run.*", failed.error or ""
    ), failed.error
    output = live.bench.settings.scratch / run.id / "train" / "output"
    assert not any(path.stat().st_size > 1_000_000 for path in output.rglob("*"))
    assert not list(output.glob("**/*.tmp")) and not list(output.glob("checkpoints/*"))
    full(-1)
    await resume(live.http, live.bench, run.id)
    assert (await live.bench.store.runs.stages(run.id))["train"].result["steps"]


async def test_a_full_disk_under_everything(live: Live, tiny: Path, full: Callable[[int], None]) -> None:
    """Not even the error can be recorded. It is once there is room, and the API says what is wrong until then."""
    port = free_port()
    before = folder(live.bench, "verdicts")
    with judge_by_url(live.bench.settings.folder, port, latency_s=0.1):
        run = await judged_run(live, tiny, port)
        await until(lambda: folder(live.bench, "verdicts") > before)
        full(1)
        there = published(live.bench)
        while (questions := await asked(port)) != await later(asked(port)):
            pass
        assert questions["compare"] < EXAMINATION + QUESTIONS  # it has stopped
        assert (await live.http.get(f"/v1/runs/{run.id}")).json()["status"] == "running"
        refused = await live.http.post(f"/v1/runs/{run.id}/cancel")
        assert refused.status_code == 507 and "no space left to write the database" in refused.json()["detail"]
        assert published(live.bench) == there
        full(-1)
        failed = await finished(live.bench, run.id)
        assert failed.status == "failed"
        assert re.fullmatch(r"stage judge: no space left to write .*resume the run", failed.error or ""), failed.error
        await resume(live.http, live.bench, run.id)
    assert published(live.bench).items() >= there.items()
    await assert_judged_once(live.bench, run.id)


async def later(answer: Awaitable[Counter[str]]) -> Counter[str]:
    await asyncio.sleep(1.0)
    return await answer


def folder(bench: Bench, name: str) -> set[str]:
    """The artifacts in a folder of the store, half-written ones too."""
    return {key for key in published(bench) if key.startswith(f"{name}/")}

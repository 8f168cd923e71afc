"""The time that is left: only once enough is done to tell the speed, and from what this attempt did."""

from pathlib import Path

import pytest

from service.pipeline.progress import Progress
from tests.service.pipeline.bench import add_run, open_bench


async def test_no_time_is_told_from_the_first_few_and_none_from_earlier_work(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path)
    run = await add_run(bench, tiny)
    now = 0.0
    progress = Progress(bench.store.runs, run.id, "sample", total=100, clock=lambda: now)
    await progress.add(40, new=False)
    now = 60.0
    await progress.add(4)
    assert progress.eta_s is None
    now = 70.0
    await progress.add(6)
    # 10 in 70 s: the 50 that are left take 350 s.
    assert progress.eta_s == pytest.approx(350)
    told = [event.eta_s for event in await bench.store.runs.events(run.id, limit=10) if event.type == "progress"]
    assert told == [None, None, 350.0]
    await bench.close()

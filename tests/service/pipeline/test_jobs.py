"""A child that keeps nothing of what it began: its last life alone counts."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import RunFailed
from service.pipeline.children import Ended
from service.pipeline.context import open_context
from service.pipeline.jobs import run_job
from tests.service.pipeline.bench import add_run, open_bench
from tests.service.pipeline.test_methods import warnings


class Lives:
    """Says its number in each life, and ends as it is told."""

    def __init__(self, *ends: Ended) -> None:
        self._ends = list(ends)
        self._life = 0

    async def run(self, arguments: Sequence[str], log: Path, on_line: Callable[[str], Awaitable[None]]) -> Ended:
        self._life += 1
        await on_line(f"{arguments[0]} {self._life}")
        return self._ends.pop(0)


async def test_what_a_killed_child_said_is_forgotten_and_what_fails_is_told(tmp_path: Path, tiny: Path) -> None:
    bench = await open_bench(tmp_path / "home")
    try:
        run = await add_run(bench, tiny)
        lives = Lives(Ended(-9, ""), Ended(0, ""), Ended(2, "error: no room"))
        context = await open_context(run.id, replace(bench.tools, run_training=lives.run))
        assert await run_job(context, "train", "counting", ["count"], tmp_path / "log") == ("count 2",)
        assert await warnings(bench, run) == ["counting was killed by signal 9; it begins again"]
        with pytest.raises(RunFailed, match=r"^counting ended with status 2: error: no room; resume the run$"):
            await run_job(context, "train", "counting", ["count"], tmp_path / "log")
    finally:
        await bench.close()

"""Children that keep nothing of what they began: one that was killed begins again."""

from collections.abc import Sequence
from pathlib import Path

from service.errors import RunFailed
from service.pipeline.children import Ended, run_again_when_killed
from service.pipeline.context import RunContext
from service.schemas import Stage


async def run_job(
    context: RunContext, stage: Stage, doing: str, arguments: Sequence[str], log: Path
) -> tuple[str, ...]:
    """Run `python -m training ARGUMENTS` to its end; returns the lines of its stdout.

    `doing` says in messages what it does. Raises RunFailed where it fails, or is killed again and again.
    """
    lines: list[str] = []

    async def read(line: str) -> None:
        lines.append(line)

    async def start() -> Ended:
        lines.clear()
        return await context.tools.run_training(arguments, log, read)

    async def mourn(number: int) -> None:
        await context.warn(stage, f"{doing} was killed by signal {number}; it begins again")

    ended = await run_again_when_killed(start, lambda: 0, mourn)
    if ended.status != 0:
        raise RunFailed(f"{doing} ended with status {ended.status}: {ended.complaint}; resume the run")
    return tuple(lines)

"""An examination in a child process, which dies with ours: its minute of work and its memory are not the service's."""

import asyncio
import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from judges.guard import die_with_parent
from service.artifacts import Artifacts
from service.errors import ServiceError
from service.set_report.options import ReportOptions
from service.set_report.task import ReportTask

_LAST_WORDS = 300
_JSON = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Examined:
    """Keys of the artifact store, and what the set is held against: see `ReportTask`."""

    rows: str
    prompts: str | None = None
    principle_ids: tuple[str, ...] = ()
    held_out: str | None = None
    verdicts: tuple[str, ...] = ()


async def examine_set(artifacts: Artifacts, what: Examined, options: ReportOptions) -> dict[str, JsonValue]:
    """A `SetReport` as JSON. Raises ServiceError where the child ended without one."""
    with tempfile.TemporaryDirectory(prefix="ch-") as name:
        folder = Path(name)
        keys = (what.rows, what.prompts, what.held_out, *what.verdicts)
        paths = {key: folder / f"{place}.parquet" for place, key in enumerate(keys) if key is not None}
        for key, path in paths.items():
            await artifacts.get_file(key, path)
        task = ReportTask(
            rows=paths[what.rows],
            options=options,
            principle_ids=what.principle_ids,
            prompts=paths[what.prompts] if what.prompts is not None else None,
            held_out=paths[what.held_out] if what.held_out is not None else None,
            verdicts=tuple(paths[key] for key in what.verdicts),
        )
        return _JSON.validate_json(await _answer_of(TypeAdapter(ReportTask).dump_json(task)))


async def _answer_of(task: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.set_report"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    try:
        answer, complaint = await process.communicate(task)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode:
        said = complaint.decode(errors="replace").strip()[-_LAST_WORDS:]
        raise ServiceError(f"the examination ended with status {process.returncode} ({said}); ask again")
    return answer

"""What the process that examines a set is told."""

from dataclasses import dataclass
from pathlib import Path

from service.set_report.options import ReportOptions


@dataclass(frozen=True, slots=True)
class ReportTask:
    """`rows` is a set's file, `prompts` a prompt set's; all of `held_out` are held out. `verdicts` are shards."""

    rows: Path
    options: ReportOptions
    principle_ids: tuple[str, ...] = ()
    prompts: Path | None = None
    held_out: Path | None = None
    verdicts: tuple[Path, ...] = ()

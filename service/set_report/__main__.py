"""The examination in a process of its own: a task as JSON on stdin, the report on stdout.

It takes a minute and much memory for a large set, which the process that serves has for others.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from judges.records import PrincipleVerdict, Prompt
from service.preference_rows import PreferenceRows
from service.set_report.findings import SetReport
from service.set_report.report import Against, report_on, sampled_rows
from service.set_report.task import ReportTask
from service.shards import from_parquet

_NICENESS = 10


def carry_out(task: ReportTask) -> SetReport:
    against = Against(task.principle_ids, _prompts(task), tuple(_verdicts(task.verdicts)))
    with task.rows.open("rb") as file:
        stored = PreferenceRows(file)
        rows = tuple(sampled_rows(stored, task.options.most_rows))
        found = report_on(rows, against, task.options)
        return replace(found, rows=stored.rows)


def _prompts(task: ReportTask) -> tuple[Prompt, ...]:
    """With a set of its own, only the prompts of this are held out."""
    own = from_parquet(task.prompts.read_bytes(), Prompt) if task.prompts else ()
    if task.held_out is None:
        return own
    held = from_parquet(task.held_out.read_bytes(), Prompt)
    return (*(one for one in own if one.split == "train"), *(replace(one, split="held_out") for one in held))


def _verdicts(shards: Sequence[Path]) -> Iterator[PrincipleVerdict]:
    for path in shards:
        yield from from_parquet(path.read_bytes(), PrincipleVerdict)


def main() -> None:
    os.nice(_NICENESS)  # whoever asks the service meanwhile goes first
    task = TypeAdapter(ReportTask).validate_json(sys.stdin.buffer.read())
    sys.stdout.buffer.write(TypeAdapter(SetReport).dump_json(carry_out(task)))


if __name__ == "__main__":
    main()

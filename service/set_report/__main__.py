"""The examination in a process of its own: a task as JSON on stdin, the report on stdout.

It takes a minute and much memory for a large set, which the process that serves has for others.
"""

import os
import sys
from dataclasses import replace

from pydantic import TypeAdapter

from judges.records import Prompt
from service.preference_rows import PreferenceRows
from service.set_report.findings import SetReport
from service.set_report.report import Against, report_on, sampled_rows
from service.set_report.task import ReportTask
from service.shards import from_parquet

_NICENESS = 10


def carry_out(task: ReportTask) -> SetReport:
    prompts = from_parquet(task.prompts.read_bytes(), Prompt) if task.prompts else ()
    with task.rows.open("rb") as file:
        stored = PreferenceRows(file)
        rows = tuple(sampled_rows(stored, task.options.most_rows))
        found = report_on(rows, Against(task.principle_ids, prompts), task.options)
        return replace(found, rows=stored.rows)


def main() -> None:
    os.nice(_NICENESS)  # whoever asks the service meanwhile goes first
    task = TypeAdapter(ReportTask).validate_json(sys.stdin.buffer.read())
    sys.stdout.buffer.write(TypeAdapter(SetReport).dump_json(carry_out(task)))


if __name__ == "__main__":
    main()

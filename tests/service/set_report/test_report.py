"""The whole examination: the same twice, of a sample where there are too many rows, and in its own process."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from judges.records import Message, Prompt
from service.artifacts import Artifacts
from service.cli.set_report import print_set_report
from service.preference_rows import PreferenceRows
from service.set_report.child import Examined, examine_set
from service.set_report.options import ReportOptions
from service.set_report.report import Against, report_on, sampled_rows
from service.shards import to_parquet
from training.rows import PreferenceRow

ROW = PreferenceRow("r", "p", (Message("user", "Why?"),), "Because.", "Hm.", 0.9, 1.0, "ai")


def row_number(n: int) -> PreferenceRow:
    asked = (Message("user", f"What is the answer to question number {n // 2} of the long quiz about all things?"),)
    named = replace(ROW, id=f"r{n}", prompt_id=f"p{n // 2}", prompt=asked, chosen=f"It is {n}, of course.")
    return replace(named, per_principle=(("brief", 0.9), ("kind", 0.2)))


ROWS = [row_number(n) for n in range(200)]
HELD_OUT = Prompt("h", ROWS[0].prompt, "held_out")


def test_the_same_rows_give_the_same_report() -> None:
    against = Against(("brief",), (HELD_OUT,))
    found = report_on(ROWS, against, ReportOptions())
    assert found == report_on(ROWS, against, ReportOptions())
    assert (found.examined, found.leakage.exact) == (200, 1)


def test_a_sample_keeps_the_pairs_of_a_prompt_together() -> None:
    stored = PreferenceRows(io.BytesIO(to_parquet(ROWS)))
    drawn = list(sampled_rows(stored, 60))
    assert 30 < len(drawn) < 90 and drawn == list(sampled_rows(stored, 60))
    assert {row.prompt_id for row in drawn}.isdisjoint({row.prompt_id for row in ROWS if row not in drawn})
    assert list(sampled_rows(stored, 200)) == ROWS


async def test_in_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifacts = Artifacts(str(tmp_path))
    await artifacts.put_new("preferences/a.parquet", to_parquet(ROWS))
    await artifacts.put_new("prompts/b.parquet", to_parquet([HELD_OUT]))
    what = Examined("preferences/a.parquet", "prompts/b.parquet", ("never",))
    found = await examine_set(artifacts, what, ReportOptions(clusters=2))
    assert found["examined"] == 200 and found["leakage"]["exact"] == 1
    print_set_report(found)
    told = capsys.readouterr().out
    assert "never decides nothing on" in told and "of 1 held-out prompts 1 stand in the set" in told


def test_of_a_set_without_answers_the_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    unanswered = [replace(row, per_principle=()) for row in ROWS[:10]]
    report = report_on(unanswered, Against(("brief", "kind")), ReportOptions(clusters=2))
    print_set_report(json.loads(json.dumps(asdict(report))))
    told = " ".join(capsys.readouterr().out.split())
    assert "no row has a principle's answer: people decided them all; nothing is known of brief, kind" in told
    assert "decides nothing" not in told

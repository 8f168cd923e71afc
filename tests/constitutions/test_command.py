import json
import subprocess
import sys
from pathlib import Path

import pytest

from constitutions.__main__ import main

GOOD = """
name: one
principles:
  - {kind: checked, id: brief, text: It has at most three words., check: {max_words: 3},
     examples: [{prompt: Hi, better: Hello you., worse: Hello to you and all of yours.}]}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_lint_of_a_good_file_says_nothing(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(good)]) == 0
    assert capsys.readouterr().out == ""


def test_lint_exits_1_on_an_error(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD.replace("Hello you.", "Hello to you all."))
    assert main(["lint", str(good)]) == 1
    assert "error: better-fails: principle 'brief': example 1" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(tmp_path / "none.yaml")]) == 2
    assert "constitution 'none.yaml': cannot read it: No such file" in capsys.readouterr().err


def test_every_problem_stands_on_its_own_line(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD.replace("name:", "nam:").replace("text:", "txt:"))
    assert main(["lint", str(good)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_diff_prints_json(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD.replace("check:", "weight: 2, check:"))
    assert main(["diff", str(good), str(other)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["reweighted"] == [{"id": "brief", "before": 1.0, "after": 2.0}]


def test_it_runs_as_a_module(good: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "constitutions", "lint", str(good)], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")

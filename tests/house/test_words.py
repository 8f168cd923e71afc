"""What must not stand in a tracked file."""

import re

from tests.house.source import ROOT, tracked_files

TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".jsonl", ".html", ".css", ".js", ".sh", ""}
# Absolute paths of one machine, and hosts of package registries.
FORBIDDEN = re.compile(
    r"/work/|/root/|(?:^|[^\w.])pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian\.org", re.MULTILINE
)
TO_DO = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?! ?\(#\d+\))")


def texts():
    for path in tracked_files():
        if path.suffix in TEXT and path.name != "test_words.py":
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8", errors="replace")


def test_no_machine_of_ours_is_named():
    assert {str(path) for path, text in texts() if FORBIDDEN.search(text)} == set()


def test_no_open_ends():
    assert {str(path) for path, text in texts() if path.suffix == ".py" and TO_DO.search(text)} == set()


def test_no_large_files():
    assert {str(path) for path in tracked_files() if path.stat().st_size > 1_000_000} == set()


def test_no_links():
    assert {str(path) for path in tracked_files() if path.is_symlink()} == set()

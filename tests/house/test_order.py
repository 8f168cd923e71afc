"""The files that tests/conftest.py puts first are there."""

from pathlib import Path

from tests.conftest import LONGEST


def test_the_longest_files_exist():
    assert [name for name in LONGEST if not (Path(__file__).parents[1] / name).is_file()] == []

"""The commands that a kept demo prints work in the shell that reads them."""

from pathlib import Path

from service.demo.labelling import charter_command

FOLDER = Path("/home/ada/charter")
OWN = FOLDER / ".venv/bin/charter"


def test_charter_is_named_by_its_file_where_the_shell_would_not_find_it():
    assert charter_command(OWN, None, FOLDER) == ".venv/bin/charter"


def test_charter_is_named_by_its_file_where_the_shell_would_find_another():
    assert charter_command(OWN, "/usr/bin/charter", FOLDER) == ".venv/bin/charter"


def test_charter_is_named_alone_where_the_shell_finds_it():
    assert charter_command(OWN, str(OWN), FOLDER) == "charter"


def test_from_another_folder_the_whole_path_is_printed_as_a_shell_reads_it():
    assert charter_command(Path("/my tools/bin/charter"), None, FOLDER) == "'/my tools/bin/charter'"

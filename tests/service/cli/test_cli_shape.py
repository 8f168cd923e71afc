"""Every command explains itself, and errors are one line."""

import subprocess
import sys

import click
import pytest
import typer

from service.cli.__main__ import app


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command below, with its words."""
    children = getattr(command, "commands", None)
    if children is None:
        return [(path, command)]
    return [found for name, child in children.items() for found in commands(child, (*path, name))]


ALL = commands(typer.main.get_command(app))


def test_the_commands_of_the_design_are_there():
    said = {" ".join(path) for path, _ in ALL}
    assert said >= {
        "serve", "worker", "demo", "summary", "gc", "key create", "constitution lint", "constitution post",
        "constitution diff", "constitution list", "constitution delete", "prompts post", "prompts list",
        "prompts delete", "preferences post", "preferences export", "preferences list", "preferences delete",
        "model add", "model list", "model delete", "run create",
        "run follow", "run cancel", "run resume", "run report", "run delete", "judge qualify", "judge panel",
        "label create", "label list", "label invite", "label people", "label revoke", "label export", "label close",
        "label delete", "label route", "label prompts", "adapter list", "adapter download", "adapter delete",
    }  # fmt: skip


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_has_help_an_example_and_explained_parameters(path, command):
    assert f"charter {' '.join(path)}" in (command.help or "")
    assert "Example: `" in (command.help or "")
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name} says nothing"


def test_an_error_is_one_line_on_stderr_and_status_1():
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "constitution", "lint", "no-such.yaml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr
        == "error: constitution 'no-such.yaml': cannot read it: No such file or directory. Check the path.\n"
    )

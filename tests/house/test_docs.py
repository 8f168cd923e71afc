"""The pages say what the product does: routes, settings, commands, checks, and the tree."""

import re

import pytest
import typer
import yaml
from fastapi.routing import APIRoute

from constitutions.checks.registry import CHECKS
from constitutions.loader import load_constitution_file
from service.api.app import create_app
from service.cli.__main__ import app as command_line
from service.labelling.schemas import LabelProjectRequest
from service.settings import Settings
from tests.house.source import ROOT, tracked_files

DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def test_every_route_is_in_the_api_page():
    routes = [
        f"{method} {route.path}"
        for route in create_app(Settings()).routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    ]
    assert routes
    assert [route for route in routes if f"`{route}`" not in DOCS["api.md"]] == []


def test_every_setting_is_in_the_operations_page():
    names = [f"CHARTER_{name.upper()}" for name in Settings.model_fields]
    assert [name for name in names if f"`{name}`" not in DOCS["operations.md"]] == []


def test_every_command_is_in_the_cli_page():
    group = typer.main.get_command(command_line)

    def names(command, path):
        children = getattr(command, "commands", {})
        if not children:
            yield " ".join(path)
        for name, child in children.items():
            yield from names(child, (*path, name))

    commands = list(names(group, ("charter",)))
    assert len(commands) > 5
    assert [command for command in commands if f"`{command}" not in DOCS["cli.md"]] == []


def test_every_check_is_in_the_constitutions_page():
    assert [name for name in CHECKS if f"`{name}`" not in DOCS["constitutions.md"]] == []


def test_the_tree_in_the_readme_is_the_tree_on_disk():
    block = re.search(r"```tree\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None, "README.md needs its tree in a block that begins ```tree"
    named = {line.split()[0].rstrip("/") for line in block[1].splitlines() if line.strip()}
    on_disk = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert named == {name for name in on_disk if not name.startswith(".")}


@pytest.mark.parametrize("name", ["service", "constitutions", "judges", "training", "tests", "Dockerfile"])
def test_what_was_promised_is_there(name):
    assert (ROOT / name).exists()


def test_every_shipped_yaml_parses():
    for path in tracked_files():
        if path.suffix in (".yaml", ".yml") and "tests" not in path.parts:
            assert yaml.safe_load(path.read_text()) is not None, path


def test_every_shipped_constitution_loads():
    laws = [*(ROOT / "constitutions" / "library").glob("*.yaml"), ROOT / "service" / "demo" / "constitution.yaml"]
    assert len(laws) >= 6
    for path in laws:
        load_constitution_file(path)


def test_the_guide_for_people_begins_with_a_project_that_the_service_takes():
    [example, *_] = re.findall(r"```yaml\n(.*?)```", DOCS["people.md"], re.S)
    assert LabelProjectRequest.model_validate(yaml.safe_load(example)).name == "helpful"

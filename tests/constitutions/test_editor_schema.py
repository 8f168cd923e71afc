import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from constitutions.__main__ import main
from constitutions.editor_schema import editor_schema
from constitutions.library.shelf import library_names, library_text

SCHEMA = (files("constitutions") / "schema.json").read_text(encoding="utf-8")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA))


def with_check(check: object) -> dict[str, object]:
    return {"name": "one", "principles": [{"kind": "checked", "id": "a", "text": "It is short.", "check": check}]}


def test_the_file_is_what_the_command_writes(tmp_path: Path) -> None:
    assert main(["schema", "--output", str(tmp_path / "schema.json")]) == 0
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == SCHEMA == editor_schema()


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA))


@pytest.mark.parametrize("name", library_names())
def test_every_shipped_constitution_agrees_with_it(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load(library_text(name)))


@pytest.mark.parametrize(
    "check",
    [
        {"max_words": 50},
        {"max_words": {"limit": 50}},
        {"complete": True},
        {"complete": None},
        {"complete": {}},
        "complete",
        {"forbids": ["one", "two"]},
        {"forbids": "one"},
        {"forbids": {"phrases": ["one"], "where": "start"}},
        {"language": "de"},
        {"json": ["answer"]},
    ],
)
def test_every_way_to_write_a_check_agrees_with_it(check: object) -> None:
    VALIDATOR.validate(with_check(check))


@pytest.mark.parametrize(
    "check",
    [
        {},
        {"max_words": 0},
        {"max_words": "many"},
        {"max_words": 5, "complete": True},
        {"max_word": 5},
        {"max_words": {"limt": 5}},
        "max_words",
        {"forbids": {"phrases": ["one"], "where": "nowhere"}},
    ],
)
def test_an_editor_underlines_what_the_loader_refuses(check: object) -> None:
    assert not VALIDATOR.is_valid(with_check(check))


def test_a_wrong_key_and_a_missing_kind_are_underlined() -> None:
    assert not VALIDATOR.is_valid({"name": "one", "principels": []})
    assert not VALIDATOR.is_valid({"name": "one", "principles": [{"id": "a", "text": "It is kind."}]})

"""Every knob turns something: each field of a settings class is read outside the file that declares it."""

import ast

import pytest

from tests.house.source import ROOT, modules

DECLARED_IN = ("service/schemas.py", "service/settings.py", "training/configs.py")


def fields_of(file):
    tree = ast.parse((ROOT / file).read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield node.name, line.target.id


def attributes_read(elsewhere_than):
    return {
        node.attr
        for path, tree in modules().items()
        if str(path) != elsewhere_than
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


@pytest.mark.parametrize("file", DECLARED_IN)
def test_every_knob_turns_something(file):
    read = attributes_read(file)
    # Settings' URLs have a property of the same stem, which stands in their own file.
    own = {"database_url", "artifacts_url", "home"} if file == "service/settings.py" else set()
    assert {field for field in fields_of(file) if field[1] not in read | own} == set()

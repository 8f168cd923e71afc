import pytest

from constitutions.canonical import canonical_json, constitution_sha256
from constitutions.errors import ConstitutionError
from constitutions.library.shelf import library_names, load_library
from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution

NAMES = ("constitutional", "format-checks", "hhh", "model-spec", "support-desk")


def test_the_names() -> None:
    assert library_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_loads_under_its_name_and_the_linter_only_asks_for_more_examples(name: str) -> None:
    constitution = load_library(name)
    assert constitution.name == name
    assert {finding.code for finding in lint_constitution(constitution)} <= {"few-examples", "no-examples"}


@pytest.mark.parametrize("name", NAMES)
def test_each_survives_its_canonical_form(name: str) -> None:
    constitution = load_library(name)
    assert load_constitution(canonical_json(constitution)) == constitution


def test_no_two_are_the_same() -> None:
    assert len({constitution_sha256(load_library(name)) for name in NAMES}) == len(NAMES)


def test_format_checks_asks_no_judge() -> None:
    assert load_library("format-checks").judged == ()


@pytest.mark.parametrize("name", ["nothing", "../pyproject", "hhh.yaml", ""])
def test_another_name_is_refused_and_the_names_are_given(name: str) -> None:
    with pytest.raises(ConstitutionError, match=r"not in the library\. Take one of: constitutional, format-checks"):
        load_library(name)

"""YAML or JSON to a `Constitution`. Strict and safe; every problem is reported at once, with line and column.

Left out: reading the YAML itself (`yaml_nodes.py`), the wording of a problem (`problems.py`), advice (`lint.py`).
"""

from pathlib import Path

from pydantic import ValidationError

from constitutions.checks.registry import check_problem
from constitutions.errors import ConstitutionError
from constitutions.problems import Problems
from constitutions.schema import TEXT_KEYS, CheckedPrinciple, Constitution
from constitutions.yaml_nodes import MAX_BYTES, read_yaml


def load_constitution(data: bytes | str, *, name: str = "constitution") -> Constitution:
    """Read a constitution; `name` is what errors call it. Raises ConstitutionError with every problem found."""
    document = read_yaml(data, name, text_keys=TEXT_KEYS, typed_below="check")
    if not isinstance(document.value, dict):
        message = f"constitution '{name}', line 1, column 1: it must be a mapping with name and principles. Write them."
        raise ConstitutionError((message,))
    problems = Problems(document, name)
    try:
        constitution = Constitution.model_validate(document.value)
    except ValidationError as error:
        problems.add_details(error.errors(include_url=False))
        problems.add_duplicate_ids()
        raise ConstitutionError(problems.in_order()) from error
    problems.add_duplicate_ids()
    _add_bad_checks(problems, constitution)
    if found := problems.in_order():
        raise ConstitutionError(found)
    return constitution


def load_constitution_file(path: Path) -> Constitution:
    """Read a constitution from a file. Raises ConstitutionError, also for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = f"constitution '{path.name}': cannot read it: {error.strerror}. Check the path."
        raise ConstitutionError((problem,)) from error
    return load_constitution(data, name=path.name)


def _add_bad_checks(problems: Problems, constitution: Constitution) -> None:
    for index, principle in enumerate(constitution.principles):
        if isinstance(principle, CheckedPrinciple) and (problem := check_problem(principle.check)):
            problems.add(
                ("principles", index, "check", *problem.steps), f"principle '{principle.id}': {problem.message}"
            )

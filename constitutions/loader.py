"""YAML or JSON to a `Constitution`. Strict and safe; every problem is reported at once, with line and column.

Left out: reading the YAML itself (`yaml_nodes.py`), advice on style (`lint.py`).
"""

import difflib
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from constitutions.checks.registry import check_problem
from constitutions.errors import ConstitutionError
from constitutions.schema import CheckedPrinciple, Constitution, Example, JudgedPrinciple, Turn
from constitutions.yaml_nodes import MAX_BYTES, Document, Place, read_yaml

_KNOWN_KEYS = {
    key: None
    for model in (Constitution, JudgedPrinciple, CheckedPrinciple, Example, Turn)
    for key in model.model_fields
}


def load_constitution(data: bytes | str, *, name: str = "constitution") -> Constitution:
    """Read a constitution; `name` is what errors call it. Raises ConstitutionError with every problem found."""
    document = read_yaml(data, name)
    if not isinstance(document.value, dict):
        raise ConstitutionError(
            (f"constitution '{name}', line 1, column 1: it must be a mapping with name and principles.",)
        )
    try:
        constitution = Constitution.model_validate(document.value)
    except ValidationError as error:
        raise ConstitutionError(tuple(_problem(detail, document, name) for detail in error.errors())) from error
    problems = (*_duplicate_ids(constitution, document, name), *_bad_checks(constitution, document, name))
    if problems:
        raise ConstitutionError(problems)
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


def _problem(detail: ErrorDetails, document: Document, name: str) -> str:
    # pydantic names the union's branch ('judged', 'checked') as a step of the path; the file knows no such step.
    steps = tuple(
        step for step in detail["loc"] if not (isinstance(step, str) and step in ("judged", "checked", "str"))
    )
    steps = tuple(step for step in steps if not (isinstance(step, str) and step.startswith("tuple[")))
    where = f"constitution '{name}', {_nearest_place(steps, document)}"
    at = ".".join(str(step) for step in steps) or "the whole file"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(steps[-1]), _KNOWN_KEYS, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else "Remove it."
        return f"{where}: unknown key {str(steps[-1])!r}. {remedy}"
    if detail["type"] == "missing":
        return f"{where}: {at} is missing. Add it."
    if detail["type"] == "string_pattern_mismatch":
        return f"{where}: {at} is {detail['input']!r}; use lower-case letters, digits and hyphens, a letter first."
    return f"{where}: {at}: {detail['msg']}."


def _nearest_place(steps: tuple[str | int, ...], document: Document) -> Place:
    while steps and steps not in document.places:
        steps = steps[:-1]
    return document.places.get(steps, Place(1, 1))


def _duplicate_ids(constitution: Constitution, document: Document, name: str) -> tuple[str, ...]:
    first: dict[str, int] = {}
    problems = []
    for index, principle in enumerate(constitution.principles):
        if principle.id in first:
            place = document.places[("principles", index, "id")]
            earlier = document.places[("principles", first[principle.id], "id")]
            problems.append(
                f"constitution '{name}', {place}: the id '{principle.id}' is taken on line {earlier.line}. "
                "Give each principle its own."
            )
        first.setdefault(principle.id, index)
    return tuple(problems)


def _bad_checks(constitution: Constitution, document: Document, name: str) -> tuple[str, ...]:
    problems = []
    for index, principle in enumerate(constitution.principles):
        if isinstance(principle, CheckedPrinciple) and (problem := check_problem(principle.check)):
            place = _nearest_place(("principles", index, "check"), document)
            problems.append(f"constitution '{name}', {place}: principle '{principle.id}': {problem}")
    return tuple(problems)

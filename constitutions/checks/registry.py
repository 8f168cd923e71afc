"""Every check by its name, and how a constitution's `check: {name: parameters}` is read and run."""

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import JsonValue, TypeAdapter, ValidationError

from constitutions.checks.check import Check, CheckResult, Turn
from constitutions.checks.form import Complete, Json, Language, NoClosingQuestion, NoEcho, NoRepetition, PlainText
from constitutions.checks.length import MaxChars, MaxSentences, MaxWords, MinWords
from constitutions.checks.phrases import (
    Forbids,
    ForbidsPattern,
    Matches,
    NoFirstPersonAi,
    NoRefusal,
    NoStockOpening,
    Requires,
)
from constitutions.errors import ConstitutionError
from constitutions.schema import CheckedPrinciple

_ALL: tuple[type[Check], ...] = (
    MaxWords, MinWords, MaxSentences, MaxChars, Forbids, Requires, Matches, ForbidsPattern, Json, Language,
    Complete, NoRepetition, PlainText, NoRefusal, NoStockOpening, NoFirstPersonAi, NoClosingQuestion, NoEcho,
)  # fmt: skip
CHECKS: dict[str, type[Check]] = {check.name: check for check in _ALL}
_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def run_check(principle: CheckedPrinciple, messages: Sequence[Turn], reply: str) -> CheckResult:
    """Run a principle's check on one reply. Raises ConstitutionError for a check that the loader would have refused."""
    fault = _built(_JSON.dump_json(principle.check)).fault(messages, reply)
    return CheckResult(passed=not fault, reason=fault or "in order")


def check_problem(check: Mapping[str, JsonValue]) -> str:
    """What is wrong with a `check:` entry, and what to do; "" where nothing is."""
    if len(check) != 1:
        named = f"names {len(check)} checks" if check else "names no check"
        return f"it is kind: checked but {named}; write exactly one of: {', '.join(CHECKS)}"
    ((name, _),) = check.items()
    if name not in CHECKS:
        close = difflib.get_close_matches(name, CHECKS, n=1)
        hint = f"did you mean {close[0]!r}? All checks" if close else "take one of"
        return f"there is no check {name!r}; {hint}: {', '.join(CHECKS)}"
    try:
        build_check(check)
    except ValidationError as error:
        detail = error.errors()[0]
        at = ".".join(str(step) for step in (name, *detail["loc"]))
        known = ", ".join(CHECKS[name].model_fields) or "none: write true"
        return f"check {at}: {detail['msg']}. Its parameters: {known}"
    return ""


def build_check(check: Mapping[str, JsonValue]) -> Check:
    """The check of a one-entry mapping, its shorthand spelt out. Raises pydantic's ValidationError."""
    ((name, value),) = check.items()
    kind = CHECKS[name]
    if value is True:
        return kind.model_validate({})
    if not isinstance(value, dict) and kind.shorthand:
        field = kind.model_fields[kind.shorthand].annotation
        listed = "tuple" in str(field) and not isinstance(value, list)
        value = {kind.shorthand: [value] if listed else value}
    return kind.model_validate(value)


@lru_cache(maxsize=4096)
def _built(check: bytes) -> Check:
    mapping = _JSON.validate_json(check)
    if problem := check_problem(mapping):
        raise ConstitutionError((problem,))
    return build_check(mapping)

"""Every check by its name, and how a constitution's `check: {name: parameters}` is read and run."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

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
    # A server's JSON may hold half a character, which RE2 cannot read.
    readable = reply.encode(errors="replace").decode()
    fault = built_check(principle).fault(messages, readable)
    return CheckResult(passed=not fault, reason=fault or "in order")


@dataclass(frozen=True, slots=True)
class CheckProblem:
    """What is wrong with a `check:` entry, and what to do; `steps` leads to it from the entry."""

    message: str
    steps: tuple[str | int, ...] = ()


def built_check(principle: CheckedPrinciple) -> Check:
    """A principle's check with its parameters. Raises ConstitutionError where the loader would have refused it."""
    return _built(_JSON.dump_json(principle.check))


def check_problem(check: Mapping[str, JsonValue]) -> CheckProblem | None:
    """The first problem of a `check:` entry, or None where it is in order."""
    if len(check) != 1:
        named = f"names {len(check)} checks" if check else "names no check"
        return CheckProblem(f"it is kind: checked but {named}; write exactly one of: {', '.join(CHECKS)}")
    ((name, value),) = check.items()
    if name not in CHECKS:
        close = difflib.get_close_matches(name, CHECKS, n=1)
        hint = f"did you mean {close[0]!r}? All checks" if close else "take one of"
        return CheckProblem(f"there is no check {name[:60]!r}; {hint}: {', '.join(CHECKS)}", (name,))
    if value is False:
        return CheckProblem(f"check {name}: false switches nothing off. Remove the principle, or write true.", (name,))
    try:
        build_check(check)
    except ValidationError as error:
        # A misspelt parameter first: the missing one is its echo.
        detail = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        return CheckProblem(_parameter_problem(name, detail), (name, *detail["loc"]))
    return None


def _parameter_problem(name: str, detail: ErrorDetails) -> str:
    known = CHECKS[name].model_fields
    at = ".".join(str(step) for step in (name, *detail["loc"]))
    takes = f"It takes {', '.join(known)}" if known else f"It takes no parameters: write {name}: true"
    if not known:
        return f"check {name}: {takes}."
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        return f"check {at}: unknown parameter.{f' Did you mean {close[0]!r}?' if close else ''} {takes}."
    if detail["type"] == "missing":
        return f"check {at} is missing. {takes}."
    return f"check {at}: {detail['msg'].removeprefix('Value error, ')}. {takes}."


def build_check(check: Mapping[str, JsonValue]) -> Check:
    """The check of a one-entry mapping, its shorthand spelt out. Raises pydantic's ValidationError."""
    ((name, value),) = check.items()
    kind = CHECKS[name]
    if value is True or value is None:
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
        raise ConstitutionError((problem.message,))
    return build_check(mapping)

"""The canonical form of a constitution and the hashes over it: comments, key order and layout change neither."""

import hashlib
import json

from constitutions.checks.registry import build_check
from constitutions.schema import CheckedPrinciple, Constitution, Principle


def canonical_json(constitution: Constitution) -> str:
    """Sorted keys, no blanks, defaults spelt out."""
    return _dump(constitution.model_dump(mode="json"))


def constitution_sha256(constitution: Constitution) -> str:
    """The hash that names this version, 64 hex digits."""
    return hashlib.sha256(canonical_json(constitution).encode()).hexdigest()


def principle_sha256(principle: Principle) -> str:
    """A hash over what can change a verdict: text and wording, or the check; not id, weight, aspect or examples.

    Two ways to write one check (`max_words: 50`, `max_words: {limit: 50}`) have the same.
    """
    if isinstance(principle, CheckedPrinciple):
        check = build_check(principle.check)
        matter: dict[str, object] = {"kind": principle.kind, "check": {check.name: check.model_dump(mode="json")}}
    else:
        matter = {"kind": principle.kind, "text": principle.text, "compare": principle.compare}
    return hashlib.sha256(_dump(matter).encode()).hexdigest()


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

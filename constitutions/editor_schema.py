"""The JSON Schema by which an editor completes and checks a constitution: `schema.json`, written by `__main__.py`.

Left out: what a schema cannot say (ids used twice, patterns that do not compile), which the loader does.
"""

import json

from pydantic import JsonValue, TypeAdapter

from constitutions.checks.check import Check
from constitutions.checks.registry import CHECKS
from constitutions.schema import Constitution

_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def editor_schema() -> str:
    """The schema as JSON text, with every check and its parameters."""
    schema = _OBJECT.validate_python(Constitution.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Charter constitution"
    _properties(schema)["version"] = {"type": ["string", "number"], "default": "1"}
    definitions = _inner(schema, "$defs")
    checked = _inner(definitions, "CheckedPrinciple")
    _properties(checked)["check"] = _check_entry()
    judged = _inner(definitions, "JudgedPrinciple")
    judged["required"] = ["kind", "id", "text"]
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _check_entry() -> dict[str, JsonValue]:
    bare: list[JsonValue] = [name for name, check in CHECKS.items() if _stands_alone(check)]
    entries: dict[str, JsonValue] = {name: _entry(check) for name, check in CHECKS.items()}
    mapping: dict[str, JsonValue] = {
        "type": "object",
        "properties": entries,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"description": "Exactly one check and its parameters.", "anyOf": [mapping, {"enum": bare}]}


def _entry(check: type[Check]) -> JsonValue:
    """Every way to write the parameters of one check: a mapping, its shorthand, or `true`."""
    parameters = _OBJECT.validate_python(check.model_json_schema())
    description = parameters.pop("description", "")
    ways: list[JsonValue] = [parameters]
    if check.shorthand:
        short = _inner(_properties(parameters), check.shorthand)
        ways.append({key: value for key, value in short.items() if key not in ("title", "default")})
        if "items" in short:
            ways.append(short["items"])
    if _stands_alone(check):
        ways.append({"enum": [True, None]})
    return {"description": description, "anyOf": ways}


def _stands_alone(check: type[Check]) -> bool:
    return not any(field.is_required() for field in check.model_fields.values())


def _properties(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return _inner(schema, "properties") if "properties" in schema else {}


def _inner(mapping: dict[str, JsonValue], key: str) -> dict[str, JsonValue]:
    """The object under the key, the same one, so that what is changed in it stays."""
    inner = mapping[key]
    if not isinstance(inner, dict):
        raise TypeError(f"{key} of a JSON Schema is a {type(inner).__name__}, not an object")
    return inner

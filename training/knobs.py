"""One knob: a number with its bounds, and a value of YAML or JSON as the knob's type. No torch."""

import types
from dataclasses import field
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from training.errors import ConfigError


def knob(default: float | int, low: float, high: float) -> float:
    """A number with its bounds, both allowed."""
    value: float = field(default=default, metadata={"low": low, "high": high})
    return value


def open_knob(low: float, high: float) -> float | None:
    """A number with its bounds that may be left open: None, and its schema says what comes of that."""
    value: float | None = field(default=None, metadata={"low": low, "high": high})
    return value


def count(default: int, low: int, high: int) -> int:
    """A whole number with its bounds, both allowed."""
    value: int = field(default=default, metadata={"low": low, "high": high})
    return value


def typed(where: str, hint: object, value: object) -> object:
    """`value` as the field's type, or a ConfigError. YAML reads 1e-4 as a string: numbers in strings are accepted."""
    if hint in (Path, Path | None) and isinstance(value, str) and value:
        return Path(value)
    if hint == Path | None and value is None:
        return None
    if hint is str and isinstance(value, str):
        return value
    if hint == float | None and value is None:
        return None
    if hint in (float, float | None):
        return _number(where, value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if get_origin(hint) is tuple and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    wanted = " or ".join(map(repr, get_args(hint))) if get_origin(hint) is Literal else _name(hint)
    raise ConfigError(f"{where} is {value!r}; it must be {wanted}")


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError(f"{where} is {value!r}; it must be a number")
    try:
        return float(value)
    except ValueError as error:
        raise ConfigError(f"{where} is {value!r}; it must be a number") from error


def _name(hint: object) -> str:
    names: dict[object, str] = {
        Path: "a path",
        Path | None: "a path",
        str: "a text",
        int: "a whole number",
        bool: "true or false",
    }
    if hint in names:
        return names[hint]
    if isinstance(hint, types.UnionType) or get_origin(hint) is Union:
        return str(hint)
    return "a list of strings"

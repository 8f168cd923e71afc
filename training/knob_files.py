"""A YAML file of knobs, and the `key=value` texts over it, as keys and values. Their types are read in configs.py."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from training.errors import ConfigError


def read_knobs(path: Path, changes: Sequence[str] = ()) -> dict[str, object]:
    """The file's keys with those of `changes` over them. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        value, twice = yaml.safe_load(text), repeated_key(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a YAML file of knobs") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({one_line(error)}); write one `key: value` a line") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds no keys; write one `key: value` a line")
    if twice is not None:
        raise ConfigError(f"{path}, line {twice.start_mark.line + 1}: {twice.value!r} stands there twice; keep one")
    return {str(key): item for key, item in value.items()} | dict(map(changed_knob, changes))


def changed_knob(change: str) -> tuple[str, object]:
    """`key=value`, the value in YAML."""
    key, equals, text = change.partition("=")
    if not equals:
        raise ConfigError(f"--set {change!r}: write key=value")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change!r}: not YAML ({one_line(error)}); write it as in the file") from error


def repeated_key(text: str) -> yaml.ScalarNode | None:
    """The document's first key that stands there for the second time: YAML would take the last without a word."""
    node, seen = yaml.compose(text, Loader=yaml.SafeLoader), set[str]()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                return key
            seen.add(key.value)
    return None


def one_line(error: Exception) -> str:
    """What YAML says over several lines."""
    return " ".join(str(error).split())

"""The judge's prompts: text files beside this one, filled in strictly.

Fields are written `{{name}}` and replaced in one pass, so that a value which looks like a field stays as it is;
`str.format` never touches text that a user or a model wrote. Left out: fencing (fence.py), which the values have had.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from judges.errors import TemplateError

_FOLDER = Path(__file__).with_name("templates")
_FIELD = re.compile(r"\{\{([a-z_]+)\}\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One prompt with its fields."""

    name: str
    text: str

    @property
    def fields(self) -> frozenset[str]:
        return _fields_of(self.text)

    @property
    def sha256(self) -> str:
        """What a verdict's key and the manifest record."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def render(self, **values: str) -> str:
        """The prompt. Every field must be given, and nothing else."""
        if missing := self.fields - values.keys():
            raise TemplateError(f"template {self.name!r} needs {sorted(missing)}; pass each of {sorted(self.fields)}")
        if unknown := values.keys() - self.fields:
            raise TemplateError(f"template {self.name!r} has no field {sorted(unknown)}; it has {sorted(self.fields)}")
        return _FIELD.sub(lambda match: values[match[1]], self.text).strip()

    def fill(self, **values: str) -> str:
        """The prompt of a template that need not have every field of its kind: what it does not name is left out."""
        return self.render(**{name: value for name, value in values.items() if name in self.fields})


@cache
def _fields_of(text: str) -> frozenset[str]:
    return frozenset(_FIELD.findall(text))


def load_template(name: str) -> Template:
    """One of `compare`, `critique`, `revise`."""
    return read_template(_FOLDER / f"{name}.txt")


@cache
def read_template(path: Path) -> Template:
    """A template from a file of UTF-8, once: later edits are not seen. Raises TemplateError where it cannot be read."""
    try:
        return Template(path.stem, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__}); check it") from error

"""The constitutions that ship with Charter, by name. Left out: a user's own (`loader.py`)."""

from importlib.resources import files

from constitutions.errors import ConstitutionError
from constitutions.loader import load_constitution
from constitutions.schema import Constitution

_FOLDER = files("constitutions.library")


def library_names() -> tuple[str, ...]:
    """Every name that `load_library` takes, in alphabetical order."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml")))


def library_text(name: str) -> str:
    """The YAML as written, comments included. Raises ConstitutionError for a name that is not in the library."""
    if name not in library_names():
        problem = f"constitution {name!r} is not in the library. Take one of: {', '.join(library_names())}."
        raise ConstitutionError((problem,))
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_library(name: str) -> Constitution:
    """A constitution of the library. Raises ConstitutionError for a name that is not in it."""
    return load_constitution(library_text(name), name=f"{name}.yaml")

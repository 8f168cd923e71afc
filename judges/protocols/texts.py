"""The texts of the protocols that ask in several steps: files in `templates/` beside this one."""

from pathlib import Path

from judges.templates import Template, read_template

_FOLDER = Path(__file__).with_name("templates")


def protocol_template(name: str) -> Template:
    """One of `reason`, `decide`, `metrics`, `reference`, `guided`, `argue`, `debate`, `probe`."""
    return read_template(_FOLDER / f"{name}.txt")

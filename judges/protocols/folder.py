"""A protocol as a folder: `protocol.yaml` names the reader, `prompt.txt` is the template. Ours and a user's alike.

    reader: score        # choice, score, yes_no or listwise
    highest: 5           # score only: the scale is 1 to this, 9 at most

Each reader offers its fields; a template must show the replies and the principle, and may leave out the rest. What is
fenced stands on a line of its own, so that its fence does.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from judges.errors import TemplateError
from judges.protocols.grades import YES_NO, Graded
from judges.protocols.listwise import Listwise
from judges.protocols.pairwise import Pairwise
from judges.templates import Template, read_template

_MOST_CHARS = 100_000
_LEAST_HIGHEST, _HIGHEST, _MOST_HIGHEST = 2, 5, 9
_NEEDED = {
    "choice": frozenset({"reply_a", "reply_b", "principle"}),
    "score": frozenset({"reply", "principle"}),
    "yes_no": frozenset({"reply", "principle"}),
    "listwise": frozenset({"replies", "principle"}),
}
_OPTIONAL = {
    "choice": frozenset({"conversation", "question"}),
    "score": frozenset({"conversation", "highest"}),
    "yes_no": frozenset({"conversation"}),
    "listwise": frozenset({"conversation", "question", "letters"}),
}
_FENCED = frozenset({"conversation", "reply", "reply_a", "reply_b", "replies"})


@dataclass(frozen=True, slots=True)
class _Declared:
    """What protocol.yaml says."""

    reader: str
    highest: int


def load_folder(folder: Path) -> Pairwise | Graded | Listwise:
    """Read a protocol's folder. Raises TemplateError naming the file and what may stand there."""
    declared = _read_declared(folder / "protocol.yaml")
    template = read_template(folder / "prompt.txt")
    _check_fields(template, declared.reader, folder / "prompt.txt")
    match declared.reader:
        case "choice":
            return Pairwise(template)
        case "yes_no":
            return Graded(template, YES_NO)
        case "score":
            return Graded(template, tuple(str(level) for level in range(1, declared.highest + 1)))
    return Listwise(template)


def _read_declared(path: Path) -> _Declared:
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text) if len(text) <= _MOST_CHARS else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TemplateError(f"{path}: cannot be read ({type(error).__name__}); write `reader: choice` in it") from error
    if not isinstance(values, dict):
        raise TemplateError(f"{path}: it must be a short mapping; write `reader: choice` in it")
    if unknown := sorted(str(key) for key in values if key not in ("reader", "highest")):
        raise TemplateError(f"{path}: unknown key {unknown[0]!r}; it has `reader` and `highest`")
    reader, highest = values.get("reader"), values.get("highest", _HIGHEST)
    if not isinstance(reader, str) or reader not in _NEEDED:
        raise TemplateError(f"{path}: `reader` is {_shown(reader)}; choose one of {', '.join(_NEEDED)}")
    if "highest" in values and reader != "score":
        raise TemplateError(f"{path}: `highest` belongs to `reader: score`; remove it")
    if type(highest) is not int or not _LEAST_HIGHEST <= highest <= _MOST_HIGHEST:
        raise TemplateError(
            f"{path}: `highest` is {_shown(highest)}; it must be a whole number, {_LEAST_HIGHEST} to {_MOST_HIGHEST}, "
            "since each level must be one token"
        )
    return _Declared(reader, highest)


def _shown(value: object) -> str:
    """A scalar as it is; of a list or mapping only its kind, since a few aliases make one of any size."""
    return f"{value!r:.80}" if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _check_fields(template: Template, reader: str, path: Path) -> None:
    needed, known = _NEEDED[reader], _NEEDED[reader] | _OPTIONAL[reader]
    if unknown := sorted(template.fields - known):
        raise TemplateError(
            f"{path}: no field '{unknown[0]}' with reader {reader}; known are {', '.join(sorted(known))}"
        )
    if missing := sorted(needed - template.fields):
        raise TemplateError(f"{path}: with reader {reader} it must show {{{{{missing[0]}}}}}; add it")
    lines = {line.strip() for line in template.text.splitlines()}
    if inline := sorted(name for name in template.fields & _FENCED if f"{{{{{name}}}}}" not in lines):
        raise TemplateError(f"{path}: {{{{{inline[0]}}}}} must stand on a line of its own; move it there")

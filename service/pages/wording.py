"""What changed between two wordings, word by word. Pure functions."""

import difflib
import json
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

_WORDS = re.compile(r"\s+|[^\s]+")
# Comparing takes time with the product of the lengths: beyond so many words a text is shown as changed whole.
_MOST_WORDS = 3000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words that both have, or only the one before, or only the one after."""

    kind: Literal["kept", "removed", "added"]
    text: str


def changed_words(before: JsonValue, after: JsonValue) -> tuple[Piece, ...]:
    """The pieces in reading order: those that are not removed give `after`, those not added give `before`."""
    old, new = _WORDS.findall(_text(before)), _WORDS.findall(_text(after))
    if max(len(old), len(new)) > 2 * _MOST_WORDS:
        return _pieces(("removed", old), ("added", new))
    pieces: list[Piece] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            pieces += _pieces(("kept", old[old_from:old_to]))
        else:
            pieces += _pieces(("removed", old[old_from:old_to]), ("added", new[new_from:new_to]))
    return tuple(pieces)


def _pieces(*parts: tuple[Literal["kept", "removed", "added"], list[str]]) -> tuple[Piece, ...]:
    return tuple(Piece(kind, "".join(words)) for kind, words in parts if words)


def _text(value: JsonValue) -> str:
    """A field as an author reads it; nothing for one that was not given."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)

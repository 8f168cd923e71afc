"""What a model or a person wrote, made fit for a page: nothing in it is invisible, and a long text comes in two parts.

Escaping is the templates' work, direction and isolation that of the `.written` boxes.
"""

import re
from dataclasses import dataclass

# A browser lays out a line of 200,000 characters in seconds, and one of 20,000 at once.
SHOWN_CHARACTERS = 20_000
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029]")
_FIRST_PICTURE, _DELETE, _PICTURE_OF_DELETE, _UNREADABLE = 0x2400, 0x7F, "\u2421", "\ufffd"


@dataclass(frozen=True, slots=True)
class Written:
    """A text as a page shows it: `first` at once, `rest` where somebody asks for all of it."""

    first: str
    rest: str


def written(text: str) -> Written:
    """The text, with its control characters as pictures, cut where a page would get slow."""
    seen = visible(text)
    return Written(first=seen[:SHOWN_CHARACTERS], rest=seen[SHOWN_CHARACTERS:])


def visible(text: str) -> str:
    """Control characters as their pictures (U+2400 and on), what is no character as U+FFFD, line ends as one kind."""
    return _UNSEEN.sub(lambda match: _picture(ord(match[0])), _LINE_ENDS.sub("\n", text))


def stripped(text: str) -> str:
    """The text without control characters and with one kind of line end: what a form sent, fit for the store."""
    return _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))


def _picture(code: int) -> str:
    if code == _DELETE:
        return _PICTURE_OF_DELETE
    return chr(_FIRST_PICTURE + code) if code < ord(" ") else _UNREADABLE

"""Words and sentences of a text, counted the same way by every check."""

import re
from functools import lru_cache

import re2

_WORD = re.compile(r"[^\W_]+(?:['’\-.,][^\W_]+)*")
_APOSTROPHE = re.compile("['’]")
# Possessive, and begun only at the head of a run: linear also on a run of dots.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)|[。！？]")


def words(text: str) -> list[str]:
    """Runs of letters and digits; `don't`, `well-known` and `3.14` are one word each."""
    return _WORD.findall(text)


def sentences(text: str) -> int:
    """How many sentences: ends of sentence, and one more for a text that stops without one."""
    ends = list(_SENTENCE_END.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    return len(ends) + bool(words(rest))


@lru_cache(maxsize=1024)
def phrase_pattern(phrases: tuple[str, ...], *, at_start: bool = False) -> "re2._Regexp[str]":
    """Any of the phrases, whole words, upper and lower case alike, straight and curly apostrophes alike."""
    options = "|".join(_phrase(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    anchor = r"^[\s\"'“*_#>]*" if at_start else r"(?:^|[^\pL\pN])"
    return re2.compile(rf"(?i){anchor}({options})(?:$|[^\pL\pN])")


def _phrase(phrase: str) -> str:
    parts = [_APOSTROPHE.split(part) for part in phrase.split()]
    return r"\s+".join("['’]".join(re2.escape(piece) for piece in pieces) for pieces in parts)


@lru_cache(maxsize=1024)
def user_pattern(pattern: str) -> "re2._Regexp[str]":
    """A pattern that a person wrote, in RE2: linear time, whatever it says. Raises re2.error."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)

"""The form of a reply: whole, plain, not looping, in the right language or format."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, ClassVar

import py3langid
from pydantic import AfterValidator, Field

from constitutions.checks.check import Check, Turn
from constitutions.checks.words import user_pattern, words

_ENDING = re.compile(r"[.!?…。！？][\"'”’)\]]*$")
# RE2, since a reply of newlines or brackets took Python's own matcher minutes.
_MARKDOWN = tuple(
    (what, user_pattern(pattern))
    for what, pattern in (
        ("a heading", r"(?m)^[ \t]{0,3}#{1,6}[ \t]"),
        ("a bulleted list", r"(?m)^[ \t]*[-*+•][ \t]+\S"),
        ("a numbered list", r"(?m)^[ \t]*\(?\d{1,3}[.)][ \t]+\S"),
        ("bold or italic marks", r"\*\*\S|(?:^|[^\pL\pN_])__\S|(?:^|[^\pL\pN_*])\*[^\s*][^*\n]*\*(?:$|[^\pL\pN_*])"),
        ("a code fence", r"```"),
        ("inline code", r"`[^`\n]+`"),
        ("a table", r"(?m)^[ \t]*\|.*\|[ \t]*$"),
        ("a link", r"\[[^\]\n]+\]\([^)\s]+\)"),
    )
)
_CHARACTER_RUN = re.compile(r"(\S)\1{9,}")
_SHORTEST_FOR_LANGUAGE = 4
# What py3langid can tell apart, ISO 639.
LANGUAGES = frozenset((
    "ace", "af", "am", "an", "ar", "ary", "arz", "as", "az", "ba", "bcl", "be", "bg", "bn", "br", "bs", "ca", "crh",
    "cs", "cy", "da", "de", "dz", "el", "en", "eo", "es", "et", "eu", "ext", "fa", "fi", "fo", "fr", "fuv", "fy",
    "ga", "gcf", "gcr", "gd", "gl", "gom", "grc", "gu", "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu",
    "hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kab", "kik", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb",
    "lg", "lij", "ln", "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn",
    "no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "sdh", "se", "si",
    "sk", "sl", "sn", "so", "sq", "sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug",
    "uk", "ur", "uz", "uzs", "vec", "vi", "vo", "wa", "wuu", "xh", "yo", "yue", "zh", "zu", "zxx",
))  # fmt: skip


class Complete(Check):
    """Has `min_words` words at least and ends where a sentence ends: it is no fragment, and was not cut off."""

    name: ClassVar[str] = "complete"
    min_words: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        count = len(words(reply))
        if not count:
            return "it is empty"
        if count < self.min_words:
            return f"a fragment of {count} word(s), at least {self.min_words}"
        tail = reply.rstrip()
        return "" if _ENDING.search(tail) else f"stops in the middle of a sentence: ...{tail[-30:]!r}"


class NoRepetition(Check):
    """Does not loop: no run of `words` words stands more than `times` times, and some words are there at all."""

    name: ClassVar[str] = "no_repetition"
    words: Annotated[int, Field(ge=1, le=20, strict=True)] = 4
    times: Annotated[int, Field(ge=1, le=100, strict=True)] = 2

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        said = [word.casefold() for word in words(reply)]
        if not said:
            return "it is empty"
        if run := _CHARACTER_RUN.search(reply):
            return f"repeats the character {run[1]!r}"
        if len(said) > 2 and any(a == b == c for a, b, c in zip(said, said[1:], said[2:], strict=False)):
            return "says one word three times in a row"
        runs = Counter(tuple(said[i : i + self.words]) for i in range(len(said) - self.words + 1))
        worst = max(runs.items(), key=lambda item: item[1], default=((), 0))
        return f"says {' '.join(worst[0])!r} {worst[1]} times" if worst[1] > self.times else ""


class PlainText(Check):
    """Plain prose: no heading, list, bold mark, code, table or link of Markdown."""

    name: ClassVar[str] = "plain_text"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        return next((f"contains {what}" for what, pattern in _MARKDOWN if pattern.search(reply)), "")


class Json(Check):
    """The whole reply is one JSON value; with `keys`, an object that has them."""

    name: ClassVar[str] = "json"
    shorthand: ClassVar[str] = "keys"
    keys: tuple[str, ...] = ()

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        try:
            value = json.loads(reply, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return f"is not JSON: {error}"
        if not self.keys:
            return ""
        if not isinstance(value, dict):
            return "is JSON, but not an object"
        missing = [key for key in self.keys if key not in value]
        return f"lacks the key {missing[0]!r}" if missing else ""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _known_language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"{code!r} is not one of the languages told apart: {' '.join(sorted(LANGUAGES))}")
    return code


class Language(Check):
    """Is written in the language `code` (ISO 639-1). Replies of fewer than four words pass: too short to tell."""

    name: ClassVar[str] = "language"
    shorthand: ClassVar[str] = "code"
    code: Annotated[str, AfterValidator(_known_language)]

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        if len(words(reply)) < _SHORTEST_FOR_LANGUAGE:
            return ""
        found = str(py3langid.classify(reply)[0])
        return f"is written in {found!r}, not in {self.code!r}" if found != self.code else ""


class NoClosingQuestion(Check):
    """Does not end by asking a question back."""

    name: ClassVar[str] = "no_closing_question"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        return "ends with a question" if reply.rstrip().rstrip("\"'”’)").endswith(("?", "？")) else ""


class NoEcho(Check):
    """Does not begin by repeating the user's message, `words` words or more."""

    name: ClassVar[str] = "no_echo"
    shorthand: ClassVar[str] = "words"
    words: Annotated[int, Field(ge=3, le=100, strict=True)] = 8

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        asked = [w.casefold() for w in words(messages[-1].content)][: self.words] if messages else []
        said = [w.casefold() for w in words(reply)][: self.words]
        return "repeats the user's message" if len(said) == self.words and said == asked else ""

"""How long a reply may be."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from constitutions.checks.check import Check, Turn
from constitutions.checks.words import sentences, words

Limit = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class MaxWords(Check):
    """At most `limit` words."""

    name: ClassVar[str] = "max_words"
    shorthand: ClassVar[str] = "limit"
    limit: Limit

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        count = len(words(reply))
        return f"{count} words, at most {self.limit}" if count > self.limit else ""


class MinWords(Check):
    """At least `limit` words."""

    name: ClassVar[str] = "min_words"
    shorthand: ClassVar[str] = "limit"
    limit: Limit

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        count = len(words(reply))
        return f"{count} words, at least {self.limit}" if count < self.limit else ""


class MaxSentences(Check):
    """At most `limit` sentences."""

    name: ClassVar[str] = "max_sentences"
    shorthand: ClassVar[str] = "limit"
    limit: Limit

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        count = sentences(reply)
        return f"{count} sentences, at most {self.limit}" if count > self.limit else ""


class MaxChars(Check):
    """At most `limit` characters, blanks included."""

    name: ClassVar[str] = "max_chars"
    shorthand: ClassVar[str] = "limit"
    limit: Limit

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        return f"{len(reply)} characters, at most {self.limit}" if len(reply) > self.limit else ""

"""What a reply must say, or must not."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import re2
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from constitutions.checks.check import Check, Turn
from constitutions.checks.words import phrase_pattern, user_pattern

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


def _listed(phrases: object) -> object:
    """One phrase need not be written as a list."""
    return (phrases,) if isinstance(phrases, str) else phrases


Phrases = Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=500), BeforeValidator(_listed)]


def _compiles(pattern: str) -> str:
    try:
        user_pattern(pattern)
    except re2.error as error:
        raise ValueError(
            f"{pattern!r} is not a pattern of RE2 ({error}); look-around and back-references are not"
        ) from error
    return pattern


Pattern = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_compiles)]


class Forbids(Check):
    """None of `phrases`, as whole words in upper or lower case; `where` looks anywhere or only at the start."""

    name: ClassVar[str] = "forbids"
    shorthand: ClassVar[str] = "phrases"
    phrases: Phrases
    where: Literal["anywhere", "start"] = "anywhere"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        found = phrase_pattern(self.phrases, at_start=self.where == "start").search(reply)
        return f"says {found[1]!r}" + (" at the start" if self.where == "start" else "") if found else ""


class Requires(Check):
    """All of `phrases` (or any one of them, with `how: any`), as whole words in upper or lower case."""

    name: ClassVar[str] = "requires"
    shorthand: ClassVar[str] = "phrases"
    phrases: Phrases
    how: Literal["all", "any"] = "all"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        missing = [phrase for phrase in self.phrases if not phrase_pattern((phrase,)).search(reply)]
        if self.how == "any":
            return f"says none of {', '.join(map(repr, self.phrases))}" if len(missing) == len(self.phrases) else ""
        return f"does not say {missing[0]!r}" if missing else ""


class Matches(Check):
    """The RE2 pattern `pattern` is found in the reply (anchor it with ^ and $ to match all of it)."""

    name: ClassVar[str] = "matches"
    shorthand: ClassVar[str] = "pattern"
    pattern: Pattern

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        return "" if user_pattern(self.pattern).search(reply) else f"does not match {self.pattern!r}"


class ForbidsPattern(Check):
    """The RE2 pattern `pattern` is not found in the reply."""

    name: ClassVar[str] = "forbids_pattern"
    shorthand: ClassVar[str] = "pattern"
    pattern: Pattern

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        found = user_pattern(self.pattern).search(reply)
        return f"matches {self.pattern!r}: {found[0][:60]!r}" if found else ""


_REFUSALS = (
    "I can't", "I cannot", "I can not", "I'm unable to", "I am unable to", "I won't", "I will not", "I'm not able to",
    "I am not able to", "I'm sorry, but", "I am sorry, but", "I apologize, but", "I must decline", "I'd rather not",
)  # fmt: skip
_STOCK_OPENINGS = (
    "sure", "sure thing", "of course", "certainly", "absolutely", "definitely", "great question", "good question",
    "that's a great question", "what a great question", "excellent question", "I'd be happy to", "I'd be glad to",
    "I'm happy to", "I'm glad you asked", "I would be happy to", "happy to help", "thank you for your question",
    "thanks for asking", "thank you for asking", "I understand that", "I understand you", "here is", "here are",
    "here's", "as an AI", "hello", "hi there", "no problem",
)  # fmt: skip
_AI_TALK = (
    "as an AI", "as a language model", "as a large language model", "I am an AI", "I'm an AI", "I'm just an AI",
    "I am a language model", "I'm a language model", "as an artificial intelligence", "as a chatbot", "I'm a chatbot",
    "as an assistant", "as your assistant", "as a digital assistant", "as a virtual assistant", "my training data",
    "I was trained", "I don't have personal", "I do not have personal", "I don't have feelings", "AI assistant",
    "AI language model", "trained by Hugging Face", "SmolLM", "my programming", "I don't have the ability",
)  # fmt: skip


class NoRefusal(Check):
    """Does not begin by refusing ("I'm sorry, but", "I cannot ...")."""

    name: ClassVar[str] = "no_refusal"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        found = phrase_pattern(_REFUSALS).search(reply[:200])
        return f"refuses: {found[1]!r}" if found else ""


class NoStockOpening(Check):
    """Does not begin with a stock phrase ("Sure", "Great question", "I'd be happy to", "Here are")."""

    name: ClassVar[str] = "no_stock_opening"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        found = phrase_pattern(_STOCK_OPENINGS, at_start=True).search(reply)
        return f"opens with {found[1]!r}" if found else ""


class NoFirstPersonAi(Check):
    """Does not speak of itself as an AI, a model or an assistant."""

    name: ClassVar[str] = "no_first_person_ai"

    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        found = phrase_pattern(_AI_TALK).search(reply)
        return f"speaks of itself: {found[1]!r}" if found else ""

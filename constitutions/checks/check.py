"""What a deterministic check is: frozen parameters with one question, `fault`. Left out: the checks themselves."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict


class Turn(Protocol):
    """One turn of a conversation; only read."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`reason` names the fault, or is `in order`."""

    passed: bool
    reason: str


class Check(BaseModel):
    """One check with its parameters. The docstring's first line is its entry in the reference.

    `shorthand` is the parameter that a bare value fills: `max_words: 50` is `max_words: {limit: 50}`. A check without
    one is written `name: true`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    shorthand: ClassVar[str] = ""

    @abstractmethod
    def fault(self, messages: Sequence[Turn], reply: str) -> str:
        """The fault in words, or "" where there is none. `messages` is the conversation before the reply."""

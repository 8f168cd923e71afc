"""What an import takes in and says a word about: counted by kind in the set's report, the first of them by place."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from judges.records import Conversation
from service.store.records import JsonObject

# - agrees_unnamed: a row of nobody's name says again what an earlier one does; it counts once.
# - contradicts_unnamed: a row of nobody's name names the other reply of an earlier one's; both are kept.
# - parted_early: two whole conversations go on after the replies on which they part; what follows is left out.
Notice = Literal["agrees_unnamed", "contradicts_unnamed", "parted_early"]
_NAMED = 1000


def parting(prompt: Conversation, chosen: Conversation, rejected: Conversation) -> tuple[Notice, ...]:
    """What there is to say of two whole conversations, of which `prompt` is what both begin with."""
    return ("parted_early",) if max(len(chosen), len(rejected)) > len(prompt) + 1 else ()


@dataclass(frozen=True, slots=True)
class Noticed:
    """Where, and what of it."""

    place: str
    notice: Notice


@dataclass(frozen=True, slots=True)
class Notices:
    """All of a file."""

    count: Counter[Notice] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def add(self, one: Noticed) -> None:
        self.count[one.notice] += 1
        if len(self.first) < _NAMED:
            self.first.append(f"{one.place}: {one.notice}")

    def report(self) -> JsonObject:
        """Nothing where there was nothing."""
        if not self.first:
            return {}
        return {"notices": dict(sorted(self.count.items())), "noticed": list[JsonValue](self.first)}

"""What an import takes in and says a word about: counted by kind in the set's report, the first of them by place."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from judges.records import Conversation
from service.store.records import JsonObject

# - agrees_unnamed: a row of nobody's name says again what an earlier one does; it counts once.
# - contradicts_unnamed: a row of nobody's name names the other reply of an earlier one's; both are kept.
# - parted_early: two whole conversations go on after the replies on which they part; what follows is left out.
# - left_out: the line has tools, images or settings of a chat template, which no row holds.
# - joined: a reply was several messages of the assistant.
# - unanswered: the record holds no answer of anybody's to which reply is better.
# - no_belief: a machine's score is not from one half to 1; the tag `score` keeps it, and the belief is 1.
# - scores_against: the scores of a pair put the rejected reply first; the pair's own word counts.
Notice = Literal[
    "agrees_unnamed",
    "contradicts_unnamed",
    "parted_early",
    "left_out",
    "joined",
    "unanswered",
    "no_belief",
    "scores_against",
]
_NAMED = 1000
# What the replies of a line may have come from, beside its messages.
_NOT_HELD = ("tools", "images", "image", "chat_template_kwargs")


def parting(prompt: Conversation, chosen: Conversation, rejected: Conversation) -> tuple[Notice, ...]:
    """What there is to say of two whole conversations, of which `prompt` is what both begin with."""
    return ("parted_early",) if max(len(chosen), len(rejected)) > len(prompt) + 1 else ()


def not_held(value: Mapping[str, JsonValue]) -> tuple[Notice, ...]:
    """What there is to say of a line, or of the part of it that holds the prompt. Empty ones are none."""
    return ("left_out",) if any(value.get(name) for name in _NOT_HELD) else ()


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
        counts: JsonObject = {name: self.count[name] for name in sorted(self.count)}
        return {"notices": counts, "noticed": list[JsonValue](self.first)}

"""What passes between the stages: prompts, samples, revisions, comparisons, verdicts. Plain standard library.

A model *samples* a reply to a prompt; a reply may be *revised*; two replies to one prompt are *compared* under one
principle; the answer is a *verdict*, which is either a preference or an abstention.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
Cause = Literal[
    "unreadable", "refused", "timed_out", "truncated", "empty", "no_label_mass", "server_error", "too_long", "unchanged"
]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Conversation = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user said: one turn or several, the last one the user's."""

    id: str
    messages: Conversation
    split: Literal["train", "held_out"] = "train"
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply of a model to one prompt. `index` counts the replies to the prompt from 0."""

    id: str
    prompt_id: str
    index: int
    reply: str
    finish_reason: str
    model: str
    weights_sha256: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of a critique-and-revise chain: `before` was criticised under one principle and became `after`."""

    id: str
    prompt_id: str
    sample_id: str
    step: int
    principle_id: str
    critique: str
    before: str
    after: str
    judge: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two replies to one prompt, in their canonical order. `id` is a hash of the prompt and the two texts."""

    id: str
    prompt_id: str
    messages: Conversation
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Preference:
    """The judge answered. `p_a` is the probability that reply A is better, 0 to 1, both orders averaged in logit space.

    `p_a_ab` and `p_a_ba` are the two readings (A shown first, B shown first), each as the probability that A wins.
    `label_mass` is the smaller of the two orders' probability on any choice token, 1.0 for a check.
    """

    p_a: float
    p_a_ab: float
    p_a_ba: float
    label_mass: float
    reason: str = ""

    @property
    def flipped(self) -> bool:
        """True where the two orders name different winners."""
        return (self.p_a_ab - 0.5) * (self.p_a_ba - 0.5) < 0


@dataclass(frozen=True, slots=True)
class Abstention:
    """The judge gave no usable answer. It is counted and shown, never turned into a number."""

    cause: Cause
    raw: str


Verdict = Preference | Abstention


@dataclass(frozen=True, slots=True)
class PrincipleVerdict:
    """A verdict on one comparison under one principle, and who gave it. `judge` is a model's name, or `check`."""

    comparison_id: str
    prompt_id: str
    principle_id: str
    kind: Literal["judged", "checked"]
    judge: str
    template_sha256: str
    verdict: Verdict
    prompt_tokens: int = 0
    completion_tokens: int = 0

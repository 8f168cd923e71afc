"""A preference row and its JSONL form: a superset of TRL's conversational format, so other trainers read it as is.

Plain standard library: `service` imports this without torch.
"""

from dataclasses import dataclass, field
from typing import Literal

from judges.records import Conversation

Source = Literal["human", "ai", "check"]


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """One pair. `p_chosen` is the belief that `chosen` is better, 0.5 to 1 (0.5 is a tie); `weight` scales its loss.

    `per_principle` holds (principle id, p_chosen under it) of every principle that answered; `origin` says where
    the row came from (a run, an upload, a labeller) in free text that a person can follow.
    """

    id: str
    prompt_id: str
    prompt: Conversation
    chosen: str
    rejected: str
    p_chosen: float
    weight: float
    source: Source
    judge: str = ""
    annotators: tuple[str, ...] = ()
    constitution_sha256: str = ""
    per_principle: tuple[tuple[str, float], ...] = ()
    origin: str = ""
    tags: tuple[tuple[str, str], ...] = field(default=())

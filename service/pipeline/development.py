"""Which training prompts a sweep keeps back: adapters are compared on them, and the best is picked by them.

They are drawn by the run's seed and by what they say, so that no copy of one is trained on. Left out: the comparison.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from judges.records import Prompt
from service.errors import RunFailed
from service.schemas import TrainingSettings

FEWEST = 2


@dataclass(frozen=True, slots=True)
class TrainingPrompts:
    """The prompts of the split train: those to learn from, and those of a sweep to compare on."""

    train: tuple[Prompt, ...]
    development: tuple[Prompt, ...] = ()


def development_count(prompts: int, settings: TrainingSettings) -> int:
    """How many of so many different training prompts are kept back; none without a sweep."""
    return round(settings.development_share * prompts) if settings.sweep else 0


def split_development(
    prompts: Sequence[Prompt], held_out: Sequence[Prompt], settings: TrainingSettings, seed: int
) -> TrainingPrompts:
    """Draw them, none that is held out too. Raises RunFailed where too few are left on a side."""
    if settings.sweep is None:
        return TrainingPrompts(tuple(prompts))
    proven_on = {prompt.messages for prompt in held_out}
    different = {prompt.messages: prompt for prompt in prompts if prompt.messages not in proven_on}

    def place(prompt: Prompt) -> bytes:
        turns = [(message.role, message.content) for message in prompt.messages]
        return hashlib.sha256(f"{seed} {turns}".encode("utf-8", errors="replace")).digest()

    drawn = sorted(different.values(), key=place)[: development_count(len(different), settings)]
    kept_back = {prompt.messages for prompt in drawn}
    train = tuple(prompt for prompt in prompts if prompt.messages not in kept_back)
    if len(drawn) < FEWEST or not train:
        raise RunFailed(
            f"a sweep compares on {FEWEST} development prompts or more and trains on others: of {len(different)} "
            f"different training prompts a development_share of {settings.development_share} keeps {len(drawn)}; "
            "give more prompts, or another share"
        )
    return TrainingPrompts(train, tuple(drawn))

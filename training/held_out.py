"""Which prompts are kept from training, to measure on. No torch."""

import hashlib
from collections.abc import Iterable

from training.configs import TrainConfig
from training.errors import TrainingError

TokenIds = tuple[int, ...]


def held_out_prompts(prompts: Iterable[TokenIds], config: TrainConfig) -> frozenset[TokenIds]:
    """As many of the different prompts as the config says, drawn by a hash of seed and prompt.

    Raises TrainingError where there must be some, since a limit looks at them, and the share of so few is none.
    """

    def place(prompt: TokenIds) -> bytes:
        return hashlib.sha256(f"{config.seed} {prompt}".encode()).digest()

    different = sorted(set(prompts), key=place)
    drawn = frozenset(different[: config.held_out_of(len(different))])
    if config.looks_at_held_out and not drawn:
        raise TrainingError(
            f"{config.rows}: held_out_share {config.held_out_share} of {len(different)} prompts is none, and "
            f"{config.looks_at_held_out} looks at them; raise held_out_share or add rows"
        )
    if different and len(drawn) == len(different):
        raise TrainingError(
            f"{config.rows}: all {len(drawn)} prompts are held out at held_out_share {config.held_out_share}; "
            "lower it, or add prompts"
        )
    return drawn

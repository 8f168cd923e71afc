"""The group of tokens that takes most memory, by the name of its row: smaller batches do not help where it is one.

A group goes through the model whole: a prompt with its replies.
"""

from collections.abc import Sequence

from training.configs import DpoConfig, OnlineConfig, RewardConfig, TrainConfig
from training.memory import smaller_batches
from training.online_parts import load_prompts, whole_group
from training.reward_rows import load_reward_rows
from training.rows import read_rows
from training.tokenising import load_tokenized_rows, load_tokenizer


def smaller_groups(config: TrainConfig) -> str:
    """What brings the memory of a run down, read anew from its rows."""
    row_id, tokens = max(group_sizes(config), key=lambda size: size[1], default=("", 0))
    if tokens <= config.tokens_per_batch:
        return smaller_batches()
    online = isinstance(config, OnlineConfig)
    knobs = "reply_tokens, replies_per_prompt or max_tokens" if online else "max_tokens"
    return (
        f"row {row_id!r} alone{' with its replies' if online else ''} has {tokens} tokens, more than tokens_per_batch: "
        f"lower {knobs}, or set gradient_checkpointing"
    )


def group_sizes(config: TrainConfig) -> Sequence[tuple[str, int]]:
    """Row and tokens of each group that the run may put through the model."""
    if isinstance(config, OnlineConfig):
        prompts, _ = load_prompts(config, load_tokenizer(config.model))
        return [(one.prompt.id, whole_group(config, one).tokens) for one in prompts]
    if isinstance(config, RewardConfig):
        by_prompt = load_reward_rows(config, read_rows(config.rows))
        groups = [prompt.group for prompt in (*by_prompt.train, *by_prompt.held_out)]
    else:
        rows = load_tokenized_rows(config, with_rejected=isinstance(config, DpoConfig))
        groups = [row.group for row in (*rows.kept, *rows.held_out)]
    return [(group.row_id, group.tokens) for group in groups]

"""Preference rows by prompt: every reply to a prompt once, and the pairs of them that people or judges decided.

All pairs of a prompt are one element of a batch, since pairs shuffled apart over-fit in a single pass
(arXiv:2203.02155, section 3.5). A conversation is rendered whole, with the turn's end as the chat template writes it:
so a server that applies the template to a finished conversation reads the score at the same token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.configs import RewardConfig
from training.held_out import held_out_prompts
from training.packing import TokenGroup
from training.rows import PreferenceRow
from training.tokenising import DroppedRow, context_of, drop_reason, load_tokenizer
from training.turns import reply_frame, text_tokens


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A row, and where its two replies stand in the group."""

    row: PreferenceRow
    chosen: int
    rejected: int


@dataclass(frozen=True, slots=True)
class RewardPrompt:
    """One prompt with its different replies, and the pairs. The group's `row_id` is that of its first row."""

    group: TokenGroup
    pairs: tuple[ScoredPair, ...]


@dataclass(frozen=True, slots=True)
class RewardRows:
    """Prompts in the file's order, to train on and to measure on, and the rows that were left out."""

    train: tuple[RewardPrompt, ...]
    held_out: tuple[RewardPrompt, ...]
    dropped: tuple[DroppedRow, ...]


def load_reward_rows(config: RewardConfig, rows: Sequence[PreferenceRow]) -> RewardRows:
    """Render, group and split; what is too long or weighs nothing is dropped and counted."""
    tokenizer, most = load_tokenizer(config.model), context_of(config)
    groups: dict[tuple[int, ...], RewardPrompt] = {}
    dropped: list[DroppedRow] = []
    for row in rows:
        prompt, closing = reply_frame(row.prompt, tokenizer, f"row {row.id!r}")
        replies = tuple((*text_tokens(text, tokenizer), *closing) for text in (row.chosen, row.rejected))
        longest = len(prompt) + max(map(len, replies))
        if reason := drop_reason(row, longest, most, with_rejected=True):
            dropped.append(DroppedRow(row.id, reason, longest))
            continue
        groups[prompt] = _with_pair(
            groups.get(prompt) or RewardPrompt(TokenGroup(row.id, prompt, ()), ()), row, replies
        )
    drawn = held_out_prompts(groups, config)
    return RewardRows(
        tuple(prompt for tokens, prompt in groups.items() if tokens not in drawn),
        tuple(prompt for tokens, prompt in groups.items() if tokens in drawn),
        tuple(dropped),
    )


def _with_pair(prompt: RewardPrompt, row: PreferenceRow, replies: tuple[tuple[int, ...], ...]) -> RewardPrompt:
    known = list(prompt.group.replies)
    for reply in replies:
        if reply not in known:
            known.append(reply)
    chosen, rejected = (known.index(reply) for reply in replies)
    return RewardPrompt(replace(prompt.group, replies=tuple(known)), (*prompt.pairs, ScoredPair(row, chosen, rejected)))

"""Preference rows to token groups. What cannot be trained on is dropped with a reason and counted, never cut short."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from training.configs import TrainConfig
from training.damaged_files import load_advice, read_object
from training.errors import TrainingError
from training.held_out import held_out_prompts
from training.packing import TokenGroup
from training.rows import PreferenceRow, read_rows
from training.turns import prompt_tokens, reply_tokens

Reason = Literal["too_long", "zero_weight", "tie", "same_reply"]


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row left out of training, and why. `tokens` is the length of the longest prompt plus reply.

    A `tie` is left out where chosen replies are imitated: neither of two equally good or bad ones was chosen. The
    `same_reply` twice is left out where two are compared: it would only halve the others' share and the accuracy.
    """

    row_id: str
    reason: Reason
    tokens: int


@dataclass(frozen=True, slots=True)
class TokenizedRow:
    """A row and its tokens, chosen first."""

    row: PreferenceRow
    group: TokenGroup


@dataclass(frozen=True, slots=True)
class TokenizedRows:
    """What is trained on, what is measured on, in the file's order, and what neither."""

    kept: tuple[TokenizedRow, ...]
    held_out: tuple[TokenizedRow, ...]
    dropped: tuple[DroppedRow, ...]


def drop_counts(dropped: Sequence[DroppedRow]) -> dict[str, int]:
    """How many of these were dropped for which reason."""
    return dict(Counter(row.reason for row in dropped))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The model's tokenizer; it must have a chat template and an eos token."""
    with load_advice(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise TrainingError(f"{folder}: the tokenizer has no chat template or no eos token; take an instruct model")
    return tokenizer


def load_tokenized_rows(config: TrainConfig, *, with_rejected: bool) -> TokenizedRows:
    """Read, tokenize and split the config's rows; the model's own context bounds `max_tokens`."""
    tokenizer, most = load_tokenizer(config.model), context_of(config)
    given = read_rows(config.rows, with_rejected=with_rejected)
    rows, dropped = tokenize_rows(given, tokenizer, max_tokens=most, with_rejected=with_rejected)
    drawn = held_out_prompts((row.group.prompt for row in rows), config)
    return TokenizedRows(
        tuple(row for row in rows if row.group.prompt not in drawn),
        tuple(row for row in rows if row.group.prompt in drawn),
        tuple(dropped),
    )


def context_of(config: TrainConfig) -> int:
    """The most tokens of a prompt with its reply: the config's, or the model's own context where that is less."""
    path = config.model / "config.json"
    shape = read_object(path, "name a model folder as transformers saves it")
    return min(config.max_tokens, int(str(shape.get("max_position_embeddings", config.max_tokens))))


def tokenize_rows(
    rows: Sequence[PreferenceRow], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int, with_rejected: bool
) -> tuple[list[TokenizedRow], list[DroppedRow]]:
    """Render the prompt with the chat template, end each reply with the template's end of turn."""
    kept: list[TokenizedRow] = []
    dropped: list[DroppedRow] = []
    for row in rows:
        texts = (row.chosen, row.rejected) if with_rejected else (row.chosen,)
        replies = tuple(reply_tokens(text, tokenizer) for text in texts)
        group = TokenGroup(row.id, prompt_tokens(row.prompt, tokenizer, f"row {row.id!r}"), replies)
        longest = len(group.prompt) + max(len(reply) for reply in group.replies)
        if reason := drop_reason(row, longest, max_tokens, with_rejected=with_rejected):
            dropped.append(DroppedRow(row.id, reason, longest))
        else:
            kept.append(TokenizedRow(row, group))
    return kept, dropped


def refuse_nothing_to_learn(config: TrainConfig, rows: Sequence[PreferenceRow], dropped: Sequence[DroppedRow]) -> None:
    """An empty set, or one of ties only, is told before an hour is spent on it. `rows` are those to train on."""
    if not rows:
        counts = drop_counts(dropped) or "none"
        raise TrainingError(f"{config.rows}: no row to train on (dropped: {counts}); {_remedy(config, dropped)}")
    if all(row.p_chosen == 0.5 for row in rows):
        raise TrainingError(f"{config.rows}: every row is a tie (p_chosen 0.5), nothing is to be learnt; add verdicts")


def _remedy(config: TrainConfig, dropped: Sequence[DroppedRow]) -> str:
    """What brings rows back: where all are too long, the knob and the row that misses by least."""
    reasons = {row.reason for row in dropped}
    if reasons & {"tie", "same_reply"}:
        return "add verdicts (p_chosen above 0.5) on replies that differ"
    if reasons != {"too_long"}:
        return "raise their weight above 0" if reasons == {"zero_weight"} else "add rows"
    least = min(dropped, key=lambda row: row.tokens)
    most = context_of(config)
    knob = "raise max_tokens" if most == config.max_tokens else "the model takes no more: shorten them"
    return f"row {least.row_id!r}, the shortest, has {least.tokens} tokens where {most} are the most; {knob}"


def drop_reason(row: PreferenceRow, tokens: int, max_tokens: int, *, with_rejected: bool) -> Reason | None:
    """Why a row of so many tokens cannot be trained on; None where it can."""
    if tokens > max_tokens:
        return "too_long"
    if row.weight == 0:
        return "zero_weight"
    if with_rejected:
        return "same_reply" if row.chosen == row.rejected else None
    return "tie" if row.p_chosen == 0.5 else None

"""How far adapters are from their base, on the replies that they wrote: `python -m training kl`.

Exact over the vocabulary at each token, summed over a reply: for replies at temperature 1 the mean is KL(policy ||
base) of a whole reply, by the chain rule, without the noise of the sampled token's own log-ratio. Replies drawn colder
are likelier ones: the figure is then that of the policy as it is used. The base is loaded once for all adapters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from training.adapters import with_saved_adapter
from training.configs import TrainConfig
from training.errors import TrainingError
from training.logps import sum_by_reply, token_kls
from training.memory import memory_advice
from training.model import Policy, hidden_states, load_base
from training.packing import TokenGroup, pack_groups, split_by_tokens
from training.precision import resolve_numbers
from training.rows import read_replies
from training.sweep import ReplyKl
from training.tokenising import load_tokenizer
from training.turns import prompt_tokens, text_tokens, turn_end


@dataclass(frozen=True, slots=True)
class Written:
    """An adapter's folder, and a JSONL file of what it wrote: lines of prompt (messages), reply, finished."""

    adapter: Path
    replies: Path


def reply_kls(model: Path, written: Sequence[Written], *, tokens_per_batch: int) -> tuple[ReplyKl, ...]:
    """One value an adapter. Raises TrainingError for an adapter or a file that cannot be read."""
    config = TrainConfig(model=model, rows=model, output=model, tokens_per_batch=tokens_per_batch)
    numbers = resolve_numbers(config.precision)
    groups = [_read_groups(one.replies, model) for one in written]
    base = load_base(AutoModelForCausalLM, config, numbers).to(numbers.device)
    adapted: PeftModel | None = None
    for number, one in enumerate(written):
        adapted = with_saved_adapter(adapted or base, one.adapter, str(number))
    if adapted is None:
        raise TrainingError("no adapter to measure; name one with its replies")
    policy = Policy(adapted.eval(), numbers)
    found = []
    for number, own in enumerate(groups):
        with memory_advice(_fewer_tokens), policy.with_adapter(str(number)):
            found.append(mean_kl(policy, own, tokens_per_batch))
    return tuple(found)


def mean_kl(policy: Policy, groups: Sequence[TokenGroup], tokens_per_batch: int) -> ReplyKl:
    """Of the adapter that is switched on, over all replies of the groups."""
    total, replies = 0.0, 0
    with torch.no_grad():
        head_VH = policy.causal.get_output_embeddings().weight
        for batch in split_by_tokens(groups, tokens_per_batch):
            packed = pack_groups(batch, policy.numbers.dtype, policy.numbers.device)
            hidden_NH = hidden_states(policy, packed)
            with policy.as_reference():
                ref_hidden_NH = hidden_states(policy, packed)
            kls_R = sum_by_reply(token_kls(hidden_NH, ref_hidden_NH, head_VH), packed.reply_N, len(packed.lengths_R))
            total, replies = total + kls_R.sum().item(), replies + len(kls_R)
    if not math.isfinite(total):
        raise TrainingError(f"the KL is {total}: the adapter's weights are broken; train it anew")
    kl = max(0.0, total / replies)  # rounding may leave less than 0 where the adapter does nothing
    return ReplyKl(kl, math.sqrt(kl))


def _fewer_tokens() -> str:
    return "lower --tokens-per-batch, or leave out the longest replies"


def _read_groups(path: Path, model: Path) -> list[TokenGroup]:
    """A finished reply ends with the end of its turn; one that was cut does not."""
    tokenizer = load_tokenizer(model)
    groups = []
    for told in read_replies(path):
        reply = text_tokens(told.text, tokenizer)
        if told.finished or not reply:
            reply = (*reply, turn_end(tokenizer))
        groups.append(TokenGroup(told.where, prompt_tokens(told.prompt, tokenizer, told.where), (reply,)))
    if not groups:
        raise TrainingError(f"{path}: no reply to measure on; write one a line")
    return groups

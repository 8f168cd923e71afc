"""What is measured of a policy without sampling: its KL to the base on given replies, and the probe for sycophancy."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch

from judges.records import Message
from training.configs import TrainConfig
from training.logps import token_kls
from training.model import Policy, hidden_states, reply_logps
from training.packing import TokenGroup, pack_groups, split_by_tokens
from training.sycophancy import Asked, LogP, sycophancy
from training.tokenising import load_tokenizer
from training.turns import prompt_tokens, reply_tokens


def kl_to_base(policy: Policy, config: TrainConfig, groups: Sequence[TokenGroup]) -> float:
    """KL(policy || base) in nats a token, exact over the vocabulary, where the replies of the groups go on."""
    total, tokens = 0.0, 0
    with torch.no_grad():
        head_VH = policy.causal.get_output_embeddings().weight
        for batch in split_by_tokens(groups, config.tokens_per_batch):
            packed = pack_groups(batch, policy.numbers.dtype, policy.numbers.device)
            hidden_NH = hidden_states(policy, packed)
            with policy.as_reference():
                ref_hidden_NH = hidden_states(policy, packed)
            kls_N = token_kls(hidden_NH, ref_hidden_NH, head_VH)
            total, tokens = total + kls_N.sum().item(), tokens + len(kls_N)
    return total / tokens


def sycophancy_of(policy: Policy, config: TrainConfig) -> Mapping[str, object]:
    """The probe of the base (`before`) and of the policy (`after`), for the result."""
    log_p = log_p_of(policy, config)
    with policy.as_reference():
        before = sycophancy(log_p)
    return {"before": asdict(before), "after": asdict(sycophancy(log_p))}


def log_p_of(policy: Policy, config: TrainConfig) -> LogP:
    """log p(reply | prompt) under the policy, the adapter on or off as it stands; each prompt is computed once."""
    tokenizer = load_tokenizer(config.model)

    def log_p(asked: Sequence[Asked]) -> Sequence[float]:
        replies: dict[str, list[tuple[int, ...]]] = {}
        places: list[tuple[str, int]] = []
        for one in asked:
            of_prompt = replies.setdefault(one.prompt, [])
            places.append((one.prompt, len(of_prompt)))
            of_prompt.append(reply_tokens(one.reply, tokenizer))
        groups = []
        for prompt, texts in replies.items():
            tokens = prompt_tokens((Message("user", prompt),), tokenizer, "the probe for sycophancy")
            groups.append(TokenGroup(prompt, tokens, tuple(texts)))
        found: dict[tuple[str, int], float] = {}
        with torch.no_grad():
            for batch in split_by_tokens(groups, config.tokens_per_batch):
                logps = reply_logps(policy, pack_groups(batch, policy.numbers.dtype, policy.numbers.device)).tolist()
                keys = [(group.row_id, number) for group in batch for number in range(len(group.replies))]
                found |= zip(keys, logps, strict=True)
        return [found[place] for place in places]

    return log_p

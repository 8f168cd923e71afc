"""What a policy's own replies are like while it learns from given ones: it answers some held-out prompts.

For SFT and DPO, at checkpoints (`loop.is_time_to_look`); the base's replies to the same prompts are the reference for
length. PPO and RLOO look at the replies of each step (online.py). Left out: what the replies are worth, which a judge
says.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import torch

from training.attention import window_of
from training.configs import OfflinePolicyConfig
from training.errors import TrainingError
from training.kl import kl_metrics
from training.model import Policy, reply_token_logps
from training.monitors import length_drift, refusal_rate, refusals_can_be_found, reply_monitors
from training.packing import TokenGroup, pack_groups, split_by_tokens
from training.tokenising import TokenizedRow, context_of, load_tokenizer
from training.torch_sampler import TorchSampler
from training.turns import turn_ends

# So few and so short that a look costs about as much as a step; enough to see replies collapse, refuse or grow.
REPLIES, REPLY_TOKENS = 16, 48


def reply_look(
    policy: Policy, config: OfflinePolicyConfig, rows: Sequence[TokenizedRow]
) -> Callable[[], Mapping[str, float]] | None:
    """What looks at the present policy's replies to the prompts of these rows; None where there is none with room.

    Raises TrainingError where there is none and a limit looks at them, and where the model cannot be sampled from here.
    """
    most = min(context_of(config), window_of(policy.causal.config)) - REPLY_TOKENS
    prompts = list(dict.fromkeys(row.group.prompt for row in rows if len(row.group.prompt) <= most))
    if not prompts:
        if limits := config.limits.read_replies:
            raise TrainingError(
                f"{limits[0]}: no held-out prompt leaves room for a reply of {REPLY_TOKENS} tokens; raise max_tokens, "
                "or set it to 0"
            )
        return None
    asked = [prompts[number % len(prompts)] for number in range(REPLIES)]
    tokenizer = load_tokenizer(config.model)
    ends, seed = turn_ends(tokenizer, config.model), random.Random(f"{config.seed}/look").getrandbits(31)
    sampler = TorchSampler(policy, reply_tokens=REPLY_TOKENS, ends=ends, tokens_per_batch=config.tokens_per_batch)
    sampler.check(prompts[0])
    base_lengths: list[int] = []

    def look() -> Mapping[str, float]:
        if not base_lengths:
            with policy.as_reference():
                base_lengths.extend(len(one.tokens) for one in sampler.sample(asked, seed=seed))
        replies = [one.tokens for one in sampler.sample(asked, seed=seed)]
        drift = length_drift([len(reply) for reply in replies], base_lengths)
        found = {
            **reply_monitors(replies, [str(prompts.index(prompt)) for prompt in asked]),
            "length_ratio": drift.ratio,
            "length_ratio_low": drift.low,
            "length_ratio_high": drift.high,
            **kl_of_replies(policy, config, asked, replies),
        }
        if config.max_refusal_rate or refusals_can_be_found():
            found["refusal_rate"] = refusal_rate(tokenizer.batch_decode(replies, skip_special_tokens=True))
        return found

    return look


def kl_of_replies(
    policy: Policy, config: OfflinePolicyConfig, asked: Sequence[tuple[int, ...]], replies: Sequence[tuple[int, ...]]
) -> Mapping[str, float]:
    """How far the policy is from the base on what it writes itself: `sampled_kl` in nats a token, and `sqrt_kl`."""
    groups = [TokenGroup("", prompt, (reply,)) for prompt, reply in zip(asked, replies, strict=True)]
    ratios: list[list[float]] = []
    with torch.no_grad():
        for batch in split_by_tokens(groups, config.tokens_per_batch):
            packed = pack_groups(batch, policy.numbers.dtype, policy.numbers.device)
            logps_N = reply_token_logps(policy, packed)
            with policy.as_reference():
                ratio_N = logps_N - reply_token_logps(policy, packed)
            ratios += [part.tolist() for part in ratio_N.split(packed.lengths_R.tolist())]
    found = kl_metrics(ratios)
    return {"sampled_kl": found["kl"], "sqrt_kl": found["sqrt_kl"]}

"""What a policy's own replies are like while it learns from given ones: it answers some held-out prompts.

For SFT and DPO, at checkpoints (`loop.is_time_to_look`); the base's replies to the same prompts are the reference for
length. A constitution's checks score them. PPO and RLOO look at the replies of each step (online.py). Left out: what a
judge says of the replies, which would take minutes each time.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev

import torch

from judges.records import Prompt
from training.attention import window_of
from training.configs import OfflinePolicyConfig
from training.errors import ConfigError, TrainingError
from training.kl import kl_metrics
from training.model import Policy, reply_token_logps
from training.monitors import length_drift, refusal_rate, refusals_can_be_found, reply_monitors
from training.packing import TokenGroup, pack_groups, split_by_tokens
from training.rollouts import OnlinePrompt, Rollout, sample_rollouts
from training.scorers import FunctionScorer, check_scorer
from training.tokenising import TokenizedRow, context_of, load_tokenizer
from training.torch_sampler import TorchSampler
from training.turns import turn_ends

# So few and so short that a look costs about as much as a step; enough to see replies collapse, refuse or grow.
REPLIES, REPLY_TOKENS = 16, 48


def reply_look(
    policy: Policy, config: OfflinePolicyConfig, rows: Sequence[TokenizedRow]
) -> Callable[[], Mapping[str, float]] | None:
    """What looks at the present policy's replies to the prompts of these rows; None where there is none with room.

    Raises TrainingError where there is none and a limit looks at them, and where the model cannot be sampled from here;
    ConfigError where the config's constitution checks nothing.
    """
    checks = checks_of(config)
    most = min(context_of(config), window_of(policy.causal.config)) - REPLY_TOKENS
    different = {
        row.group.prompt: OnlinePrompt(Prompt(row.row.prompt_id, row.row.prompt), row.group.prompt)
        for row in rows
        if len(row.group.prompt) <= most
    }
    if not different:
        if limits := config.limits.read_replies:
            raise TrainingError(
                f"{limits[0]}: no held-out prompt leaves room for a reply of {REPLY_TOKENS} tokens; raise max_tokens, "
                "or set it to 0"
            )
        return None
    prompts = list(different.values())
    asked = [prompts[number % len(prompts)] for number in range(REPLIES)]
    tokenizer = load_tokenizer(config.model)
    ends, seed = turn_ends(tokenizer, config.model), random.Random(f"{config.seed}/look").getrandbits(31)
    sampler = TorchSampler(policy, reply_tokens=REPLY_TOKENS, ends=ends, tokens_per_batch=config.tokens_per_batch)
    sampler.check(prompts[0].tokens)
    base_lengths: list[int] = []

    def look() -> Mapping[str, float]:
        if not base_lengths:
            with policy.as_reference():
                base = sample_rollouts(sampler, tokenizer, asked, "base", seed=seed)
            base_lengths.extend(len(one.reply.tokens) for one in base)
        rollouts = sample_rollouts(sampler, tokenizer, asked, "policy", seed=seed)
        return {**looks_of(rollouts, base_lengths, config, checks), **kl_of_replies(policy, config, rollouts)}

    return look


def checks_of(config: OfflinePolicyConfig) -> FunctionScorer | None:
    """The checks of the config's constitution. Raises ConfigError for one that has none: no judge is asked here."""
    checks = check_scorer(config.constitution, config.principles)
    if checks is None and config.constitution is not None:
        which = " among those in principles" if config.principles else ""
        raise ConfigError(
            f"constitution: {config.constitution} has no checked principle{which}, and no judge is asked while sft and "
            "dpo train; add one, or leave it out"
        )
    return checks


def looks_of(
    rollouts: Sequence[Rollout],
    base_lengths: Sequence[int],
    config: OfflinePolicyConfig,
    checks: FunctionScorer | None,
) -> Mapping[str, float]:
    """What can be told from the replies alone. The checks score a reply that was cut as it stands."""
    replies, asked = [one.reply.tokens for one in rollouts], [one.asked for one in rollouts]
    drift = length_drift([len(reply) for reply in replies], base_lengths)
    found = {
        **reply_monitors(replies, [str(asked.index(one)) for one in asked]),
        "length_ratio": drift.ratio,
        "length_ratio_low": drift.low,
        "length_ratio_high": drift.high,
        "finished": fmean(one.reply.finished for one in rollouts),
    }
    if config.max_refusal_rate or refusals_can_be_found():
        found["refusal_rate"] = refusal_rate([one.text for one in rollouts])
    if checks is not None:
        scores = checks.scores(rollouts)
        found[f"held_out_score_{checks.name}"] = fmean(scores)
        # With one reply a prompt, prompts that differ count as chance too: an upper bound of what a new draw changes.
        found[f"held_out_error_{checks.name}"] = stdev(scores) / sqrt(len(scores))
    return found


def kl_of_replies(policy: Policy, config: OfflinePolicyConfig, rollouts: Sequence[Rollout]) -> Mapping[str, float]:
    """How far the policy is from the base on what it writes itself: `sampled_kl` in nats a token, and `sqrt_kl`."""
    groups = [TokenGroup(one.asked.prompt.id, one.asked.tokens, (one.reply.tokens,)) for one in rollouts]
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

"""What a run of PPO or RLOO opens at its start and closes at its end: prompts, policy, scorers, sampler."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase

from training.configs import OnlineConfig
from training.errors import ConfigError, TrainingError
from training.held_out import held_out_prompts
from training.memory import refuse_no_room
from training.model import Policy, check_layout, load_policy
from training.online_run import Online
from training.packing import TokenGroup
from training.precision import Numbers
from training.ranks import this_rank
from training.reward_scorer import RewardEnsemble, RewardModelScorer
from training.rollouts import OnlinePrompt, Sampler
from training.rows import read_prompts
from training.run_folder import RunFolder
from training.scorers import Scorer, WeightedScorer, check_scorer
from training.tokenising import DroppedRow, context_of, drop_counts, load_tokenizer
from training.torch_sampler import TorchSampler
from training.turns import prompt_tokens, turn_ends

# The sampler of a config and its policy; then the tokens that end a turn, and a prompt to try it on.
SamplerOpener = Callable[[OnlineConfig, Policy, tuple[int, ...], tuple[int, ...]], Sampler]


def open_sampler(
    config: OnlineConfig,
    policy: Policy,
    ends: tuple[int, ...],
    prompt: tuple[int, ...],
    program: Literal["vllm", "scripted"] = "vllm",
) -> Sampler:
    """The config's sampler, the trainer's own checked on a prompt; vLLM is imported only where it samples.

    `program` is what `sampler: vllm` starts: scripted is the fake that ships.
    """
    if config.sampler == "torch":
        own = TorchSampler(
            policy, reply_tokens=config.reply_tokens, ends=ends, tokens_per_batch=config.tokens_per_batch
        )
        own.check(prompt)
        return own
    from training.engine_sampler import EngineSampler, engine_seed

    rank = this_rank().rank
    return EngineSampler(
        policy,
        config.model,
        config.output / (f"engine-{rank}.log" if rank else "engine.log"),
        context=context_of(config),
        reply_tokens=config.reply_tokens,
        ends=ends,
        seed=engine_seed(config.seed, rank),
        program=program,
    )


@contextlib.contextmanager
def open_online(
    config: OnlineConfig,
    numbers: Numbers,
    own_scorers: Sequence[Scorer],
    sampler_of: SamplerOpener = open_sampler,
) -> Iterator[tuple[Online, tuple[DroppedRow, ...]]]:
    """The parts of a run, and the prompts that were left out. Raises TrainingError, ConfigError, RowError."""
    with contextlib.ExitStack() as opened:
        found, _ = this_rank().each(lambda: _opened(config, numbers, own_scorers, sampler_of, opened), lambda _: None)
        yield found


def _opened(
    config: OnlineConfig,
    numbers: Numbers,
    own_scorers: Sequence[Scorer],
    sampler_of: SamplerOpener,
    opened: contextlib.ExitStack,
) -> tuple[Online, tuple[DroppedRow, ...]]:
    """The same; what must be closed is put on `opened`."""
    tokenizer = load_tokenizer(config.model)
    everything, dropped = load_prompts(config, tokenizer)
    if not everything:
        raise TrainingError(f"{config.rows}: no prompt to answer{_no_prompt(config, dropped)}")
    longest = max(everything, key=lambda one: len(one.tokens))
    refuse_no_room([whole_group(config, longest)], numbers, "lower reply_tokens, replies_per_prompt or max_tokens")
    drawn = held_out_prompts((one.tokens for one in everything), config)
    prompts, held_out = (
        tuple(one for one in everything if (one.tokens in drawn) is kept_apart) for kept_apart in (False, True)
    )
    refuse_no_scorer(config, own_scorers)
    policy = load_policy(config, numbers)
    weights = policy.adapter_weights()
    shortest = min(prompts, key=lambda one: len(one.tokens))
    check_layout(policy, TokenGroup(shortest.prompt.id, shortest.tokens, (shortest.tokens[-2:],)))
    scorers = [WeightedScorer(scorer, 1.0) for scorer in own_scorers]
    scorers += load_scorers(config, policy, tokenizer, opened)
    if not any(one.weight for one in scorers):
        raise ConfigError("all that scores the replies has weight 0; give one of them a weight above 0")
    ends = turn_ends(tokenizer, config.model)
    sampler = opened.enter_context(contextlib.closing(sampler_of(config, policy, ends, shortest.tokens)))
    return (
        Online(
            config=config,
            policy=policy,
            tokenizer=tokenizer,
            prompts=prompts,
            held_out=held_out,
            sampler=sampler,
            scorers=tuple(scorers),
            kl_weight_1=torch.tensor([config.kl_weight], dtype=torch.float64),
            policy_weights=weights,
        ),
        dropped,
    )


def _no_prompt(config: OnlineConfig, dropped: Sequence[DroppedRow]) -> str:
    """Why there is none: where all are too long, the knobs and the prompt that misses by least."""
    if not dropped:
        return "; add prompts"
    least, context = min(dropped, key=lambda row: row.tokens), context_of(config)
    knob = "raise max_tokens" if context == config.max_tokens else "the model takes no more: shorten them"
    return (
        f" (dropped: {drop_counts(dropped)}); prompt {least.row_id!r}, the shortest, has {least.tokens} tokens, its "
        f"reply may have {config.reply_tokens}, and {context} are the most for both; lower reply_tokens, or {knob}"
    )


def whole_group(config: OnlineConfig, asked: OnlinePrompt) -> TokenGroup:
    """A prompt with as many replies, each as long, as may go through the model with it."""
    return TokenGroup(
        asked.prompt.id, asked.tokens, (asked.tokens[:1] * config.reply_tokens,) * config.replies_per_prompt
    )


def refuse_no_scorer(config: OnlineConfig, own_scorers: Sequence[Scorer]) -> None:
    """Raise TrainingError where nothing will score the replies, before the base is loaded."""
    named = config.judge_url or config.reward_model
    if not (own_scorers or named or check_scorer(config.constitution, config.principles)):
        raise TrainingError(f"nothing scores the replies: {_no_scorer(config)}")


def _no_scorer(config: OnlineConfig) -> str:
    if config.constitution is None:
        return "name a constitution with checked principles, a judge_url or a reward_model"
    which = " among those in principles" if config.principles else ""
    return (
        f"{config.constitution} has no checked principle{which}, and judged ones need a judge; set judge_url, or "
        "name a reward_model"
    )


def load_prompts(
    config: OnlineConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[tuple[OnlinePrompt, ...], tuple[DroppedRow, ...]]:
    """The rows' prompts as the model reads them; those without room for a reply are dropped and counted."""
    most = context_of(config) - config.reply_tokens
    kept: list[OnlinePrompt] = []
    dropped: list[DroppedRow] = []
    for prompt in read_prompts(config.rows):
        tokens = prompt_tokens(prompt.messages, tokenizer, f"prompt {prompt.id!r}")
        if len(tokens) > most:
            dropped.append(DroppedRow(prompt.id, "too_long", len(tokens)))
        else:
            kept.append(OnlinePrompt(prompt, tokens))
    return tuple(kept), tuple(dropped)


def load_scorers(
    config: OnlineConfig, policy: Policy, tokenizer: PreTrainedTokenizerBase, opened: contextlib.ExitStack
) -> list[WeightedScorer]:
    """What the config names; what must be closed is put on `opened`."""
    found: list[WeightedScorer] = []
    law = config.constitution
    if config.judge_url:
        from training.judge_scorer import JudgeScorer, judge_of

        if law is None:
            raise ConfigError("judge_url: a judge grades by a constitution's judged principles; name a constitution")
        judge = JudgeScorer(law, judge_of(config), config.principles)
        found.append(WeightedScorer(opened.enter_context(judge), config.judge_weight))
    if checks := check_scorer(law, config.principles):
        found.append(WeightedScorer(checks, config.check_weight))
    if config.reward_model is not None:
        folders = (config.reward_model, *map(Path, config.reward_ensemble))
        if repeated := [one for one, count in Counter(map(Path.resolve, folders)).items() if count > 1]:
            raise ConfigError(f"reward_ensemble: {repeated[0]} stands there twice; name each member once")
        base_sha256, most = RunFolder(config.output).read_model_sha256(), config.tokens_per_batch
        members = [
            RewardModelScorer(folder, base_sha256, policy, tokenizer, tokens_per_batch=most, adapter=f"reward-{number}")
            for number, folder in enumerate(folders)
        ]
        one = members[0] if len(members) == 1 else RewardEnsemble(tuple(members), config.spread_weight)
        found.append(WeightedScorer(one, config.reward_weight))
    return found

"""Proximal policy optimisation of a LoRA adapter (arXiv:1707.06347, as arXiv:2203.02155 uses it on language models).

sample -> score -> KL a token -> values -> GAE -> clipped policy and value losses -> update. An action is a token. The
value model is an adapter and a head of its own on the same base.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from training.advantages import gae, token_rewards, whitened
from training.blank_replies import refuse_blank_side
from training.configs import PpoConfig
from training.finishing import finish_run, last_good_kept
from training.logps import sum_by_reply
from training.loop import Step, StepReport, refuse_broken_loss, run_steps
from training.losses import policy_loss, value_loss
from training.model import reply_token_logps
from training.online import Minibatch, online_step
from training.online_held_out import evidence, held_out_metrics
from training.online_parts import SamplerOpener, open_online, open_sampler
from training.online_run import Online, batches_after, joined_trunks, packed_batches
from training.precision import resolve_numbers
from training.ranks import this_rank
from training.scorers import Scorer
from training.seen import Asked
from training.sft import reply_losses
from training.shared_folder import open_shared_folder
from training.tokenising import TokenizedRow, load_tokenized_rows, refuse_nothing_to_learn
from training.value import ValueModel, add_value_model


@dataclass(frozen=True, slots=True)
class TokenLesson:
    """What each of a prompt's reply tokens (N) was worth, and what the value model had expected before it."""

    asked: Asked
    advantage_N: Tensor
    value_N: Tensor
    return_N: Tensor


def train_ppo(
    config: PpoConfig, own_scorers: Sequence[Scorer] = (), sampler_of: SamplerOpener = open_sampler
) -> dict[str, object]:
    """Train, or go on training, in `config.output`; returns what stands in its result.json.

    `own_scorers` score beside what the config names, each with weight 1; `sampler_of` opens what writes the replies.
    """
    numbers = resolve_numbers(config.precision)
    with open_shared_folder(config, "ppo", numbers.precision) as folder:
        finished = folder.read_result()
        if finished is not None:
            return finished
        demonstrations = load_demonstrations(config)
        with open_online(config, numbers, own_scorers, sampler_of) as (online, dropped):
            critic = add_value_model(online.policy, config.seed)
            apart = {one.tokens for one in online.held_out}
            demonstrations = tuple(row for row in demonstrations if row.group.prompt not in apart)
            name, weights = config.model.resolve().name, dict(online.policy_weights)
            with last_good_kept(config, folder, online.policy, weights):
                outcome = run_steps(
                    config,
                    {**weights, **critic.weights()},
                    folder,
                    online.plan,
                    kept=online.kept,
                    take_step=partial(ppo_step, online, config, critic, demonstrations),
                    measure=partial(held_out_metrics, online),
                )
            return finish_run(
                folder,
                online.policy,
                outcome,
                name,
                rows=len(online.prompts),
                dropped=dropped,
                more=evidence(online),
            )


def ppo_step(
    online: Online, config: PpoConfig, critic: ValueModel, demonstrations: Sequence[TokenizedRow], step: Step
) -> StepReport:
    """Sample, score, and learn from the replies; from some of the demonstrations too."""
    shown = demonstrations_of(step, config, demonstrations)
    prepare = partial(token_lessons, online, config, critic)
    return online_step(online, step, prepare, partial(add_gradients, online, config, critic, shown))


def load_demonstrations(config: PpoConfig) -> tuple[TokenizedRow, ...]:
    """What PPO-ptx keeps likely; none where it is off. Raises TrainingError where there is nothing to keep.

    Prompts that are held out of the policy's own replies are still among them: that draw is of other prompts.
    """
    if not config.ptx_weight:
        return ()
    of_rows = replace(config, rows=config.ptx_rows or config.rows)
    rows = load_tokenized_rows(of_rows, with_rejected=False)
    found = (*rows.kept, *rows.held_out)
    shown = [row.row for row in found]
    refuse_nothing_to_learn(of_rows, shown, rows.dropped)
    refuse_blank_side(of_rows, shown, with_rejected=False)
    return found


def token_lessons(
    online: Online, config: PpoConfig, critic: ValueModel, asked: Sequence[Asked], kl_weight: float
) -> list[TokenLesson]:
    """Advantages (whitened over the step) and returns of every token."""
    ranks = this_rank()
    found, told = ranks.each(lambda: unwhitened(online, config, critic, asked, kl_weight), advantages)
    whole_N = whitened(torch.cat(told)).split([len(advantage_N) for advantage_N in told])[ranks.rank]
    parts = whole_N.split([len(lesson.advantage_N) for lesson in found])
    return [replace(one, advantage_N=part) for one, part in zip(found, parts, strict=True)]


def advantages(lessons: Sequence[TokenLesson]) -> Tensor:
    """Those of all their tokens."""
    return torch.cat([torch.empty(0), *(lesson.advantage_N for lesson in lessons)])


def unwhitened(
    online: Online, config: PpoConfig, critic: ValueModel, asked: Sequence[Asked], kl_weight: float
) -> list[TokenLesson]:
    """The same with the advantages as they are."""
    found: list[TokenLesson] = []
    groups = [one.group for one in asked]
    for packed, place, is_first in batches_after(online, groups, online.first_batch.groups("policy")):
        batch = asked[place]
        with torch.set_grad_enabled(is_first), critic.switched_on():
            values_N = critic.values(packed, joined_trunks(packed, [one.trunk_1TH for one in batch]))
        if is_first:
            online.first_batch.keep("value", groups[place], values_N)
        values = values_N.detach().cpu().split([len(one.logps_N) for one in batch])
        for one, value_N in zip(batch, values, strict=True):
            rewards_N = token_rewards(one.score_K, one.kl_N, one.lengths_K, kl_weight=kl_weight)
            advantage_N = gae(rewards_N, value_N, one.lengths_K, gae_lambda=config.gae_lambda)
            # Whitening would spread one that is lost over every row of the step.
            ids = (one.group.row_id,) * len(value_N)
            refuse_broken_loss(value_N, ids, "value of a reply's token")
            refuse_broken_loss(advantage_N, ids, "advantage of a reply's token")
            found.append(TokenLesson(one, advantage_N, value_N, advantage_N + value_N))
    return found


def add_gradients(
    online: Online,
    config: PpoConfig,
    critic: ValueModel,
    demonstrations: Sequence[TokenizedRow],
    minibatch: Minibatch[TokenLesson],
) -> Mapping[str, float]:
    """Add the gradients of the lessons' losses over the whole minibatch's tokens, to the policy's and to the value
    model's own."""
    lessons, tokens = minibatch.lessons, minibatch.size.tokens
    sums = {"policy_loss": 0.0, "value_loss": 0.0, "clipped": 0.0, "moved_kl": 0.0}
    groups = [lesson.asked.group for lesson in lessons]
    for packed, place in packed_batches(online, groups):
        batch = lessons[place]
        ids = tuple(lesson.asked.group.row_id for lesson in batch for _ in lesson.asked.group.replies)
        trunk_1TH = joined_trunks(packed, [lesson.asked.trunk_1TH for lesson in batch])
        logps_N = online.first_batch.take("policy", groups[place])
        if logps_N is None:
            with online.policy.trunk.replaying(trunk_1TH):
                logps_N = reply_token_logps(online.policy, packed)
        old_N, advantage_N, value_N, return_N = (
            torch.cat(parts).to(logps_N)
            for parts in zip(
                *((one.asked.logps_N, one.advantage_N, one.value_N, one.return_N) for one in batch), strict=True
            )
        )
        policy_N = policy_loss(logps_N, old_N, advantage_N, clip=config.clip)
        refuse_broken_loss(sum_by_reply(policy_N, packed.reply_N, len(ids)), ids)
        (policy_N.sum() / tokens).backward()
        with critic.switched_on():
            seen_N = online.first_batch.take("value", groups[place])
            seen_N = critic.values(packed, trunk_1TH) if seen_N is None else seen_N
            value_loss_N = value_loss(seen_N, value_N, return_N, clip=config.value_clip)
            refuse_broken_loss(sum_by_reply(value_loss_N, packed.reply_N, len(ids)), ids)
            (value_loss_N.sum() / tokens).backward()
        with torch.no_grad():
            log_ratio_N = logps_N - old_N
            sums["policy_loss"] += policy_N.sum().item()
            sums["value_loss"] += value_loss_N.sum().item()
            sums["clipped"] += (log_ratio_N.expm1().abs() > config.clip).sum().item()
            # KL(sampled || now) by its estimate that is never negative: r - 1 - log r (J. Schulman 2020).
            sums["moved_kl"] += (log_ratio_N.expm1() - log_ratio_N).sum().item()
    ptx = add_ptx_gradients(online, config, demonstrations)
    return {name: value / tokens for name, value in sums.items()} | ptx


def demonstrations_of(step: Step, config: PpoConfig, rows: Sequence[TokenizedRow]) -> Sequence[TokenizedRow]:
    """As many demonstrations as a minibatch has prompts, drawn anew each step; none where PPO-ptx is off."""
    wanted = min(len(rows), -(-config.prompts_per_step // config.minibatches))
    return random.Random(f"{config.seed}/{step.number}/ptx").sample(list(rows), wanted)


def add_ptx_gradients(online: Online, config: PpoConfig, rows: Sequence[TokenizedRow]) -> Mapping[str, float]:
    """PPO-ptx: the likelihood of chosen replies beside the reward (arXiv:2203.02155, Eq. 2)."""
    if not rows:
        return {}
    total, ranks = 0.0, this_rank()
    for _, loss_R, _ in reply_losses(online.policy, config, rows[ranks.rank :: ranks.world]):
        (config.ptx_weight * loss_R.sum() / len(rows)).backward()
        total += loss_R.sum().item()
    return {"ptx_loss": total / len(rows)}

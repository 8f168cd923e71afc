"""REINFORCE with a leave-one-out baseline (RLOO, arXiv:2402.14740): no value model, a whole reply is one action.

sample several replies a prompt -> score -> less the weighted KL -> less the others' mean -> update. With one pass and
one minibatch the loss's gradient is the paper's; further passes are clipped as PPO's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from training.advantages import leave_one_out
from training.configs import RlooConfig
from training.finishing import finish_run, last_good_kept
from training.logps import sum_by_reply
from training.loop import Step, StepReport, refuse_broken_loss, run_steps
from training.losses import policy_loss
from training.model import reply_token_logps
from training.online import Minibatch, online_step
from training.online_held_out import evidence, held_out_metrics
from training.online_parts import SamplerOpener, open_online, open_sampler
from training.online_run import Online, joined_trunks, packed_batches
from training.precision import resolve_numbers
from training.scorers import Scorer
from training.seen import Asked
from training.shared_folder import open_shared_folder


@dataclass(frozen=True, slots=True)
class ReplyLesson:
    """What each of a prompt's replies (K) was worth beside the others."""

    asked: Asked
    advantage_K: Tensor


def train_rloo(
    config: RlooConfig, own_scorers: Sequence[Scorer] = (), sampler_of: SamplerOpener = open_sampler
) -> dict[str, object]:
    """Train, or go on training, in `config.output`; returns what stands in its result.json.

    `own_scorers` score beside what the config names, each with weight 1; `sampler_of` opens what writes the replies.
    """
    numbers = resolve_numbers(config.precision)
    with open_shared_folder(config, "rloo", numbers.precision) as folder:
        finished = folder.read_result()
        if finished is not None:
            return finished
        with open_online(config, numbers, own_scorers, sampler_of) as (online, dropped):

            def take_step(step: Step) -> StepReport:
                return online_step(online, step, reply_lessons, partial(add_gradients, online))

            name, weights = config.model.resolve().name, dict(online.policy_weights)
            with last_good_kept(config, folder, online.policy, weights):
                outcome = run_steps(
                    config,
                    weights,
                    folder,
                    online.plan,
                    kept=online.kept,
                    take_step=take_step,
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


def reply_lessons(asked: Sequence[Asked], kl_weight: float) -> list[ReplyLesson]:
    """A reply's reward is its score less its weighted KL; its advantage is over the other replies to the prompt."""
    return [ReplyLesson(one, leave_one_out(one.score_K - kl_weight * one.kl_K, [len(one.score_K)])) for one in asked]


def add_gradients(online: Online, minibatch: Minibatch[ReplyLesson]) -> Mapping[str, float]:
    """Add the gradient of the lessons' loss over the replies of the whole minibatch."""
    lessons, replies = minibatch.lessons, minibatch.size.replies
    clip = online.config.clip
    sums = {"policy_loss": 0.0, "clipped": 0.0, "moved_kl": 0.0}
    groups = [lesson.asked.group for lesson in lessons]
    for packed, place in packed_batches(online, groups):
        batch = lessons[place]
        logps_N = online.first_batch.take("policy", groups[place])
        if logps_N is None:
            with online.policy.trunk.replaying(joined_trunks(packed, [one.asked.trunk_1TH for one in batch])):
                logps_N = reply_token_logps(online.policy, packed)
        logp_R = sum_by_reply(logps_N, packed.reply_N, len(packed.lengths_R))
        old_N = torch.cat([one.asked.logps_N for one in batch]).to(logp_R)
        old_R = sum_by_reply(old_N, packed.reply_N, len(logp_R))
        advantage_R = torch.cat([one.advantage_K for one in batch]).to(logp_R)
        loss_R = policy_loss(logp_R, old_R, advantage_R, clip=clip)
        ids = tuple(one.asked.group.row_id for one in batch for _ in one.advantage_K)
        refuse_broken_loss(loss_R, ids)
        (loss_R.sum() / replies).backward()
        with torch.no_grad():
            log_ratio_R = logp_R - old_R
            sums["policy_loss"] += loss_R.sum().item()
            sums["clipped"] += (log_ratio_R.expm1().abs() > clip).sum().item()
            sums["moved_kl"] += (log_ratio_R.expm1() - log_ratio_R).sum().item()
    return {name: value / replies for name, value in sums.items()}

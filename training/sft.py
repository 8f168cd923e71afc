"""Supervised fine-tuning of a LoRA adapter on the chosen replies: revisions, people's replies, demonstrations.

The loss is the mean negative log-likelihood a token, weighted by the row's weight. Left out: packing across turns
(only the last reply is learnt).
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from training.blank_replies import blank_replies, refuse_blank_side
from training.configs import SftConfig, TrainConfig
from training.finishing import finish_run, last_good_kept
from training.loop import StepReport, one_update, refuse_broken_loss, run_steps
from training.losses import sft_loss
from training.memory import refuse_no_room
from training.model import Policy, check_layout, load_policy, reply_logps
from training.packing import PackedGroups, pack_groups, split_by_tokens
from training.precision import resolve_numbers
from training.probing import kl_to_base, sycophancy_of
from training.reply_looks import reply_look
from training.run_folder import as_begun
from training.schedule import Plan
from training.shared_folder import open_shared_folder
from training.tokenising import TokenizedRow, load_tokenized_rows, refuse_nothing_to_learn


def train_sft(config: SftConfig) -> dict[str, object]:
    """Train, or go on training, in `config.output`; returns what stands in its result.json."""
    config = as_begun(config)
    numbers = resolve_numbers(config.precision)
    with open_shared_folder(config, "sft", numbers.precision) as folder:
        finished = folder.read_result()
        if finished is not None:
            return finished
        rows = load_tokenized_rows(config, with_rejected=False)
        shown = [kept.row for kept in rows.kept]
        refuse_nothing_to_learn(config, shown, rows.dropped)
        refuse_blank_side(config, shown, with_rejected=False)
        refuse_no_room([row.group for row in (*rows.kept, *rows.held_out)], numbers)
        policy = load_policy(config, numbers)
        check_layout(policy, min((row.group for row in rows.kept), key=lambda group: group.tokens))

        def add_gradients(numbers_of_rows: tuple[int, ...]) -> StepReport:
            return add_reply_gradients(policy, config, [rows.kept[number] for number in numbers_of_rows])

        def measure() -> Mapping[str, float]:
            return held_out_metrics(policy, config, rows.held_out)

        tokens = tuple(row.group.tokens for row in rows.kept)
        plan = Plan(len(rows.kept), config.replies_per_step, config.epochs, config.seed, tokens)
        weights = policy.adapter_weights()
        name = config.model.resolve().name
        with last_good_kept(config, folder, policy, weights):
            outcome = run_steps(
                config,
                weights,
                folder,
                plan,
                kept={},
                take_step=one_update(add_gradients),
                measure=measure,
                look=reply_look(policy, config, rows.held_out),
            )
        return finish_run(
            folder,
            policy,
            outcome,
            name,
            rows=len(rows.kept),
            dropped=rows.dropped,
            more={
                "held_out": {"rows": len(rows.held_out), **measure()} if rows.held_out else None,
                "sycophancy": sycophancy_of(policy, config),
                "blank_replies": blank_replies(shown, with_rejected=False),
            },
        )


def add_reply_gradients(policy: Policy, config: SftConfig, rows: Sequence[TokenizedRow]) -> StepReport:
    """Add the gradient of the mean over the rows, batch by batch."""
    total = 0.0
    chosen = 0.0
    tokens = 0
    for packed, loss_R, logps_R in reply_losses(policy, config, rows):
        (loss_R.sum() / len(rows)).backward()
        total += loss_R.sum().item()
        chosen += logps_R.sum().item()
        tokens += len(packed.tokens_T)
    return StepReport({"loss": total / len(rows), "chosen_logp": chosen / len(rows)}, tokens)


def reply_losses(
    policy: Policy, config: TrainConfig, rows: Sequence[TokenizedRow]
) -> Iterator[tuple[PackedGroups, Tensor, Tensor]]:
    """Batch by batch: the layout, and each reply's weighted loss and log-probability."""
    weight_by_id = {row.row.id: row.row.weight for row in rows}
    for groups in split_by_tokens([row.group for row in rows], config.tokens_per_batch):
        packed = pack_groups(groups, policy.numbers.dtype, policy.numbers.device)
        logps_R = reply_logps(policy, packed)
        loss_R = sft_loss(logps_R, packed.lengths_R) * logps_R.new_tensor([weight_by_id[g.row_id] for g in groups])
        refuse_broken_loss(loss_R, tuple(group.row_id for group in groups))
        yield packed, loss_R, logps_R


def held_out_metrics(policy: Policy, config: SftConfig, rows: Sequence[TokenizedRow]) -> Mapping[str, float]:
    """`held_out_score`: less the mean loss on these rows, and `held_out_kl` to the base in nats a token."""
    with torch.no_grad():
        losses = [loss_R.sum().item() for _, loss_R, _ in reply_losses(policy, config, rows)]
    kl = kl_to_base(policy, config, [row.group for row in rows])
    return {"held_out_score": -sum(losses) / len(rows), "held_out_kl": kl}

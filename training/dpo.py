"""Direct preference optimisation (arXiv:2305.18290) of a LoRA adapter, with a soft label and a weight for each pair.

load -> batch -> reference and policy in one layout -> loss -> step -> save. Left out: who samples
between rounds (a round is a run that begins with `start_adapter`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.blank_replies import blank_replies, refuse_blank_side
from training.configs import DpoConfig, DpoLoss
from training.finishing import finish_run, last_good_kept
from training.loop import StepReport, one_update, refuse_broken_loss, run_steps
from training.losses import dpo_loss, implicit_margin, ipo_loss, regularised_dpo_loss, sft_loss, smoothed
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


@dataclass(frozen=True, slots=True)
class Form:
    """A loss of the DPO family, and whether it reads log-probabilities a token instead of a reply's sum."""

    loss: Callable[..., Tensor]
    per_token: bool


# length_normalised: DPO over mean log-probabilities, arXiv:2411.15124, section 5.1.2.
FORMS: Mapping[DpoLoss, Form] = {
    "dpo": Form(dpo_loss, per_token=False),
    "length_normalised": Form(dpo_loss, per_token=True),
    "ipo": Form(ipo_loss, per_token=True),
}


def train_dpo(config: DpoConfig) -> dict[str, object]:
    """Train, or go on training, in `config.output`; returns what stands in its result.json."""
    config = as_begun(config)
    numbers = resolve_numbers(config.precision)
    with open_shared_folder(config, "dpo", numbers.precision) as folder:
        finished = folder.read_result()
        if finished is not None:
            return finished
        rows = load_tokenized_rows(config, with_rejected=True)
        pairs = [kept.row for kept in rows.kept]
        refuse_nothing_to_learn(config, pairs, rows.dropped)
        refuse_blank_side(config, pairs, with_rejected=True)
        refuse_no_room([row.group for row in (*rows.kept, *rows.held_out)], numbers)
        policy = load_policy(config, numbers)
        check_layout(policy, min((row.group for row in rows.kept), key=lambda group: group.tokens))
        # The reference's log-probabilities (chosen, rejected): computed when a row is first met, kept for later epochs.
        reference_N2 = torch.full((len(rows.kept), 2), float("nan"))

        def add_gradients(numbers_of_rows: tuple[int, ...]) -> StepReport:
            return add_pair_gradients(policy, config, rows.kept, reference_N2, numbers_of_rows)

        held_out_reference_N2 = torch.full((len(rows.held_out), 2), float("nan"))

        def measure() -> Mapping[str, float]:
            return held_out_metrics(policy, config, rows.held_out, held_out_reference_N2)

        tokens = tuple(row.group.tokens for row in rows.kept)
        plan = Plan(len(rows.kept), config.pairs_per_step, config.epochs, config.seed, tokens)
        weights = policy.adapter_weights()
        name = config.model.resolve().name
        with last_good_kept(config, folder, policy, weights):
            outcome = run_steps(
                config,
                weights,
                folder,
                plan,
                kept={"reference": reference_N2},
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
                "blank_replies": blank_replies(pairs, with_rejected=True),
            },
        )


def add_pair_gradients(
    policy: Policy, config: DpoConfig, rows: Sequence[TokenizedRow], reference_N2: Tensor, picked: Sequence[int]
) -> StepReport:
    """Add the gradient of the mean over the picked pairs, batch by batch; fill `reference_N2` where it is empty."""
    sums: dict[str, float] = {}
    for loss_B, metrics in batch_losses(policy, config, rows, reference_N2, picked):
        (loss_B.sum() / len(picked)).backward()
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + value
    tokens = int(sums.pop("tokens"))
    return StepReport(pair_means(sums, len(picked)), tokens, {"accuracy": sums["decided"]})


def held_out_metrics(
    policy: Policy, config: DpoConfig, rows: Sequence[TokenizedRow], reference_N2: Tensor
) -> Mapping[str, float]:
    """`held_out_score`: less the mean loss on these rows; `held_out_kl` to the base in nats a token;
    `held_out_accuracy` where a row is decided."""
    sums: dict[str, float] = {}
    with torch.no_grad():
        for _, metrics in batch_losses(policy, config, rows, reference_N2, range(len(rows))):
            for name, value in metrics.items():
                sums[name] = sums.get(name, 0.0) + value
    means = pair_means(sums, len(rows))
    accuracy = {"held_out_accuracy": means["accuracy"]} if "accuracy" in means else {}
    kl = kl_to_base(policy, config, [row.group for row in rows])
    return {"held_out_score": -means["loss"], "held_out_kl": kl, **accuracy}


def batch_losses(
    policy: Policy, config: DpoConfig, rows: Sequence[TokenizedRow], reference_N2: Tensor, picked: Sequence[int]
) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
    """Batch by batch: the loss of each pair, and sums for the metrics."""
    by_id = {rows[number].row.id: number for number in picked}
    for groups in split_by_tokens([rows[number].group for number in picked], config.tokens_per_batch):
        packed = pack_groups(groups, policy.numbers.dtype, policy.numbers.device)
        numbers = [by_id[group.row_id] for group in groups]
        # Ranks that share the base compute it equally often: what one of them kept, another may not have.
        if policy.sharded or reference_N2[numbers].isnan().any():
            with policy.as_reference(), policy.trunk.keeping():
                reference_N2[numbers] = reply_logps(policy, packed).view(-1, 2).to("cpu", torch.float32)
        with policy.trunk.replaying():
            logps_B2 = reply_logps(policy, packed).view(-1, 2)
        batch = [rows[number] for number in numbers]
        loss_B, metrics = pair_losses(config, packed, logps_B2, reference_N2[numbers].to(logps_B2), batch)
        refuse_broken_loss(loss_B, tuple(group.row_id for group in groups))
        yield loss_B, {**metrics, "tokens": len(packed.tokens_T)}


def pair_means(sums: Mapping[str, float], pairs: int) -> Mapping[str, float]:
    """The sums a pair; the accuracy is over the decided ones."""
    means = {name: value / pairs for name, value in sums.items() if name not in ("decided", "correct")}
    return means | ({"accuracy": sums["correct"] / sums["decided"]} if sums["decided"] else {})


def pair_losses(
    config: DpoConfig, packed: PackedGroups, logps_B2: Tensor, reference_B2: Tensor, batch: Sequence[TokenizedRow]
) -> tuple[Tensor, Mapping[str, float]]:
    """The weighted loss of each pair, and sums over the batch for the metrics."""
    p_chosen_B = logps_B2.new_tensor([row.row.p_chosen for row in batch])
    weight_B = logps_B2.new_tensor([row.row.weight for row in batch])
    lengths_B2 = packed.lengths_R.view(-1, 2)
    chosen_B, rejected_B = logps_B2.unbind(1)
    form = FORMS[config.loss]
    unit_B2 = lengths_B2 if form.per_token else torch.ones_like(lengths_B2)
    logps = (*(logps_B2 / unit_B2).unbind(1), *(reference_B2 / unit_B2).unbind(1))
    belief_B = smoothed(p_chosen_B, config.label_smoothing)
    dpo_B = form.loss(*logps, p_chosen_B=belief_B, beta=config.beta)
    sft_B = sft_loss(chosen_B, lengths_B2[:, 0])
    loss_B = weight_B * regularised_dpo_loss(dpo_B, sft_B, p_chosen_B=p_chosen_B, sft_weight=config.sft_weight)
    with torch.no_grad():
        margin_B = config.beta * implicit_margin(*logps)
        decided_B = p_chosen_B > 0.5
        sums = {
            "loss": loss_B,
            "dpo_loss": dpo_B,
            "sft_loss": sft_B,
            "margin": margin_B,
            # What the policy moved on these texts, in nats a token: KL(reference || policy) where the base wrote them.
            "kl": ((reference_B2 - logps_B2) / lengths_B2).mean(1),
            "chosen_logp": chosen_B,
            "rejected_logp": rejected_B,
            "decided": decided_B,
            "correct": (margin_B > 0) & decided_B,
        }
        return loss_B, {name: value.sum().item() for name, value in sums.items()}

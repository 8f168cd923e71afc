"""A reward model: a scalar head and a LoRA adapter on the frozen base, learnt from preferences.

load -> batch by prompt -> scores -> loss over a prompt's pairs (arXiv:2203.02155, Eq. 1) -> step -> measure -> save.
Left out: ensembles (reward_ensemble.py), and serving (merge it; docs/judging.md says how a server reads it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from judges.choices import sigmoid
from judges.labelled_sets import LabelledPair
from judges.measures import JudgedPair, Measures, measure
from judges.records import Comparison, Preference
from training.blank_replies import blank_replies, refuse_blank_side
from training.configs import RewardConfig
from training.errors import TrainingError
from training.finishing import finish_run, last_good_kept
from training.loop import StepReport, one_update, refuse_broken_loss, run_steps
from training.losses import reward_loss
from training.memory import refuse_no_room
from training.model import Policy, load_base, with_adapter
from training.packing import split_by_tokens
from training.precision import Numbers, resolve_numbers
from training.reward_evidence import NormalScores, RewardEvidence
from training.reward_rows import RewardPrompt, load_reward_rows
from training.rows import read_rows
from training.schedule import Plan
from training.scores import check_scores, pack_finished, reply_scores
from training.sharding import room_to_load
from training.shared_folder import open_shared_folder
from training.tokenising import refuse_nothing_to_learn

_REFERENCE_PROMPTS = 256


def train_reward(config: RewardConfig) -> dict[str, object]:
    """Train, or go on training, in `config.output`; returns what stands in its result.json."""
    numbers = resolve_numbers(config.precision)
    with open_shared_folder(config, "reward", numbers.precision) as folder:
        finished = folder.read_result()
        if finished is not None:
            return finished
        rows = load_reward_rows(config, read_rows(config.rows))
        pairs = [pair.row for prompt in rows.train for pair in prompt.pairs]
        refuse_nothing_to_learn(config, pairs, rows.dropped)
        refuse_blank_side(config, pairs, with_rejected=True)
        refuse_no_room([prompt.group for prompt in (*rows.train, *rows.held_out)], numbers)
        # The seed decides what is held out, for all members of an ensemble alike; the rest is each member's own.
        own_seed = config.seed + config.member
        policy = load_reward_model(replace(config, seed=own_seed), numbers)
        check_scores(policy, policy.causal.score, min((p.group for p in rows.train), key=lambda group: group.tokens))

        def add_gradients(picked: tuple[int, ...]) -> StepReport:
            return add_prompt_gradients(policy, config, [rows.train[number] for number in picked])

        def measure() -> Mapping[str, float]:
            return held_out_metrics(policy, config, rows.held_out)

        tokens = tuple(prompt.group.tokens for prompt in rows.train)
        plan = Plan(len(rows.train), config.prompts_per_step, config.epochs, own_seed, tokens)
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
            )
        evidence = RewardEvidence(
            normal_scores(policy, config, rows.train[:_REFERENCE_PROMPTS]), measured(policy, config, rows.held_out)
        )
        more = {**asdict(evidence), "blank_replies": blank_replies(pairs, with_rejected=True)}
        return finish_run(folder, policy, outcome, name, rows=len(pairs), dropped=rows.dropped, more=more)


def load_reward_model(config: RewardConfig, numbers: Numbers) -> Policy:
    """The base with an adapter and a head of its own in fp32, N(0, 1 / sqrt(H + 1)), as transformers classifies."""
    with room_to_load(config):
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            base = load_base(AutoModelForSequenceClassification, config, numbers, num_labels=1)
            score = getattr(base, "score", None)
            if not isinstance(score, torch.nn.Linear):
                raise TrainingError(
                    f"{config.model}: this model's classifier has no linear `score`; take another model"
                )
            torch.nn.init.normal_(score.float().weight, std=(score.in_features + 1) ** -0.5)
        return with_adapter(base, config, numbers, head=score, task="SEQ_CLS")


def add_prompt_gradients(policy: Policy, config: RewardConfig, prompts: Sequence[RewardPrompt]) -> StepReport:
    """Add the gradient of the mean over the prompts of the mean over their pairs, batch by batch."""
    by_id = {prompt.group.row_id: prompt for prompt in prompts}
    sums: dict[str, float] = {}
    tokens = 0
    for groups in split_by_tokens([prompt.group for prompt in prompts], config.tokens_per_batch):
        packed = pack_finished(policy, groups)
        scores_R = reply_scores(policy, policy.causal.score, packed).split([len(group.replies) for group in groups])
        losses = []
        for group, score_K in zip(groups, scores_R, strict=True):
            loss, metrics = prompt_loss(config, by_id[group.row_id], score_K)
            losses.append(loss)
            for name, value in metrics.items():
                sums[name] = sums.get(name, 0.0) + value
        loss_G = torch.stack(losses)
        refuse_broken_loss(loss_G, tuple(group.row_id for group in groups))
        (loss_G.sum() / len(prompts)).backward()
        tokens += len(packed.tokens_T)
    decided, correct = sums.pop("decided"), sums.pop("correct")
    means = {name: value / len(prompts) for name, value in sums.items()}
    return StepReport({**means, **({"accuracy": correct / decided} if decided else {})}, tokens, {"accuracy": decided})


def prompt_loss(config: RewardConfig, prompt: RewardPrompt, score_K: Tensor) -> tuple[Tensor, Mapping[str, float]]:
    """The weighted mean loss of a prompt's pairs, and its part of the metrics."""
    chosen_P = score_K[[pair.chosen for pair in prompt.pairs]]
    rejected_P = score_K[[pair.rejected for pair in prompt.pairs]]
    p_chosen_P = score_K.new_tensor([pair.row.p_chosen for pair in prompt.pairs])
    weight_P = score_K.new_tensor([pair.row.weight for pair in prompt.pairs])
    margin_P = config.margin * (2 * p_chosen_P - 1)
    loss = (weight_P * reward_loss(chosen_P, rejected_P, p_chosen_B=p_chosen_P, margin_B=margin_P)).mean()
    with torch.no_grad():
        decided_P = p_chosen_P > 0.5
        metrics = {
            "loss": loss.item(),
            "gap": (chosen_P - rejected_P).mean().item(),
            "score": score_K.mean().item(),
            "decided": decided_P.sum().item(),
            "correct": ((chosen_P > rejected_P) & decided_P).sum().item(),
        }
    return loss, metrics


def scored(policy: Policy, config: RewardConfig, prompts: Sequence[RewardPrompt]) -> list[Tensor]:
    """The scores of each prompt's replies, without gradients."""
    found: list[Tensor] = []
    with torch.no_grad():
        for groups in split_by_tokens([prompt.group for prompt in prompts], config.tokens_per_batch):
            packed = pack_finished(policy, groups)
            scores_R = reply_scores(policy, policy.causal.score, packed)
            found += scores_R.split([len(group.replies) for group in groups])
    return found


def held_out_metrics(policy: Policy, config: RewardConfig, prompts: Sequence[RewardPrompt]) -> Mapping[str, float]:
    """`held_out_score`: less the mean loss on these prompts; `held_out_accuracy` where a pair is decided."""
    sums = {"loss": 0.0, "decided": 0.0, "correct": 0.0}
    with torch.no_grad():
        for prompt, score_K in zip(prompts, scored(policy, config, prompts), strict=True):
            _, metrics = prompt_loss(config, prompt, score_K)
            sums = {name: value + metrics[name] for name, value in sums.items()}
    accuracy = {"held_out_accuracy": sums["correct"] / sums["decided"]} if sums["decided"] else {}
    return {"held_out_score": -sums["loss"] / len(prompts), **accuracy}


def measured(policy: Policy, config: RewardConfig, prompts: Sequence[RewardPrompt]) -> Measures | None:
    """What the model does on prompts that were not trained on; None where none was held out."""
    return measures_of(prompts, margins(policy, config, prompts)) if prompts else None


def margins(policy: Policy, config: RewardConfig, prompts: Sequence[RewardPrompt]) -> list[float]:
    """Score of the chosen reply less that of the rejected one, pair by pair in the prompts' order."""
    return [
        (score_K[pair.chosen] - score_K[pair.rejected]).item()
        for prompt, score_K in zip(prompts, scored(policy, config, prompts), strict=True)
        for pair in prompt.pairs
    ]


def measures_of(prompts: Sequence[RewardPrompt], pair_margins: Sequence[float]) -> Measures:
    """Accuracy with its interval, calibration and length bias, as of a judge (judges/measures.py).

    The beliefs are sigmoid(margin). `p_chosen` leans to the winner, and is how sure a belief should be.
    """
    pairs = [(prompt, pair) for prompt in prompts for pair in prompt.pairs]
    winners: list[JudgedPair] = []
    beliefs: list[JudgedPair] = []
    for (prompt, pair), margin in zip(pairs, pair_margins, strict=True):
        row, p_a = pair.row, sigmoid(margin)
        comparison = Comparison(row.id, prompt.group.row_id, row.prompt, row.chosen, row.rejected)
        for found, label in ((winners, 1.0 if row.p_chosen > 0.5 else 0.5), (beliefs, row.p_chosen)):
            labelled = LabelledPair(comparison, label, "held_out", row.id)
            found.append(JudgedPair(labelled, Preference(p_a, p_a, p_a, 1.0)))
    return measure(winners, beliefs)


def normal_scores(policy: Policy, config: RewardConfig, prompts: Sequence[RewardPrompt]) -> NormalScores:
    """Of the replies to these prompts."""
    scores_N = torch.cat(scored(policy, config, prompts)).double()
    return NormalScores(scores_N.mean().item(), scores_N.std(correction=0).item(), len(scores_N))

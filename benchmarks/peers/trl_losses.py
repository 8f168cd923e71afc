"""The losses that TRL's own DPOTrainer and RewardTrainer give for drawn log-probabilities and scores, in fp32.

    python trl_losses.py

Runs in an environment of its own, which has nothing of ours. TRL's methods compute; the model is replaced by one that
answers what was drawn, and each pair is a batch of its own, so that a loss is one pair's. The conservative form is the
`aot` loss of TRL, whose sorting does nothing to a single pair. Prints {"trl", "dpo", "reward"}: the version, the pairs
with log-probabilities summed over so many tokens, and the cases, each with its losses.
"""

import json
from collections import defaultdict
from types import SimpleNamespace

import torch
import trl
from trl import DPOTrainer, RewardTrainer

PAIRS, LONGEST = 12, 9
DPO_CASES = (
    {"name": "dpo", "loss_type": "sigmoid", "beta": 0.1, "label_smoothing": 0.0},
    {"name": "dpo of a high beta", "loss_type": "sigmoid", "beta": 2.0, "label_smoothing": 0.0},
    {"name": "conservative", "loss_type": "aot", "beta": 0.5, "label_smoothing": 0.1},
    {"name": "length_normalised", "loss_type": "sigmoid_norm", "beta": 4.0, "label_smoothing": 0.0},
    {"name": "ipo", "loss_type": "ipo", "beta": 0.1, "label_smoothing": 0.0},
)


class Anyone(SimpleNamespace):
    """An accelerator of one process."""

    def gather(self, value):
        return value

    gather_for_metrics = gather


def drawn_pairs(generator):
    """Token log-probabilities of both replies under policy and reference; the last pair is of equal replies."""
    pairs = []
    for _ in range(PAIRS):
        lengths = torch.randint(1, LONGEST + 1, (2,), generator=generator).tolist()
        reference = [torch.randn(length, generator=generator).abs().neg() * 2 for length in lengths]
        policy = [logps + torch.randn(len(logps), generator=generator) * 0.7 for logps in reference]
        pairs.append((policy, reference))
    policy, reference = pairs[-1]
    pairs[-1] = ([policy[0], policy[0]], [reference[0], reference[0]])
    return pairs


def padded(logps):
    """(2, T) of the two replies, zero where one is shorter, and which places count."""
    longest = max(map(len, logps))
    values, mask = torch.zeros(2, longest), torch.zeros(2, longest, dtype=torch.long)
    for row, own in enumerate(logps):
        values[row, : len(own)], mask[row, : len(own)] = own, 1
    return values, mask


def dpo_loss(case, policy, reference):
    """TRL's loss of one pair."""
    values, mask = padded(policy)
    zeros = torch.zeros_like(values)
    outputs = SimpleNamespace(log_probs=values, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())
    trainer = DPOTrainer.__new__(DPOTrainer)
    trainer.model = SimpleNamespace(training=False)
    trainer.accelerator = Anyone(device=torch.device("cpu"))
    trainer.loss_types, trainer.loss_weights = [case["loss_type"]], [1.0]
    trainer.beta, trainer.label_smoothing = case["beta"], case["label_smoothing"]
    trainer.f_divergence_type, trainer.ld_alpha = "reverse_kl", None
    trainer.aux_loss_enabled, trainer.use_weighting = False, False
    trainer.precompute_ref_logps = True
    trainer._metrics, trainer._total_train_tokens, trainer._tp_size = {"eval": defaultdict(list)}, 0, 1
    whole = torch.cat([torch.zeros(2, 1, dtype=torch.long), mask], dim=1)  # a prompt of one token stands before
    sums = padded(reference)[0].sum(1)
    inputs = {
        "input_ids": torch.ones_like(whole),
        "attention_mask": torch.ones_like(whole),
        "completion_mask": whole,
        "ref_chosen_logps": sums[:1],
        "ref_rejected_logps": sums[1:],
    }
    return trainer._compute_loss(lambda **_: outputs, inputs, False).item()


def reward_loss(chosen, rejected, margin):
    """TRL's loss of one pair of scores."""
    outputs = SimpleNamespace(logits=torch.tensor([[chosen], [rejected]]))
    trainer = RewardTrainer.__new__(RewardTrainer)
    trainer.model, trainer.accelerator = SimpleNamespace(training=False), Anyone(device=torch.device("cpu"))
    trainer.args = SimpleNamespace(center_rewards_coefficient=None)
    trainer._metrics, trainer._total_train_tokens = {"eval": defaultdict(list)}, 0
    inputs = {"attention_mask": torch.ones(2, 1)} | ({"margin": torch.tensor([margin])} if margin else {})
    return trainer.compute_loss(lambda **_: outputs, inputs).item()


def main():
    generator = torch.Generator().manual_seed(0)
    pairs = drawn_pairs(generator)
    scores = (torch.randn(PAIRS, 2, generator=generator) * 3).tolist()
    sums = [
        {
            "lengths": [len(own) for own in policy],
            "policy": padded(policy)[0].sum(1).tolist(),
            "reference": padded(reference)[0].sum(1).tolist(),
        }
        for policy, reference in pairs
    ]
    cases = [{**case, "losses": [dpo_loss(case, *pair) for pair in pairs]} for case in DPO_CASES]
    rewards = [
        {"margin": margin, "losses": [reward_loss(*own, margin) for own in scores]} for margin in (0.0, 0.5, 3.0)
    ]
    print(
        json.dumps(
            {
                "trl": trl.__version__,
                "dpo": {"pairs": sums, "cases": cases},
                "reward": {"scores": scores, "cases": rewards},
            }
        )
    )


if __name__ == "__main__":
    main()

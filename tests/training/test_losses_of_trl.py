"""Our losses are TRL's on the same pairs, to 1e-5 in fp32. TRL's were written down by benchmarks/trl_losses.py."""

import json
from pathlib import Path

import pytest
import torch

from training.configs import DpoLoss
from training.dpo import FORMS
from training.losses import reward_loss, smoothed

RECORDED = json.loads((Path(__file__).parent / "data" / "trl_losses.json").read_text())
OURS: dict[str, DpoLoss] = {"sigmoid": "dpo", "aot": "dpo", "sigmoid_norm": "length_normalised", "ipo": "ipo"}


@pytest.mark.parametrize("case", RECORDED["dpo"]["cases"], ids=lambda case: case["name"])
def test_the_losses_of_pairs_are_trls(case):
    pairs = RECORDED["dpo"]["pairs"]
    form = FORMS[OURS[case["loss_type"]]]
    policy_B2, reference_B2, lengths_B2 = (
        torch.tensor([pair[name] for pair in pairs], dtype=torch.float32) for name in ("policy", "reference", "lengths")
    )
    unit_B2 = lengths_B2 if form.per_token else torch.ones_like(lengths_B2)
    logps = (*(policy_B2 / unit_B2).unbind(1), *(reference_B2 / unit_B2).unbind(1))
    belief_B = smoothed(torch.ones(len(pairs)), case["label_smoothing"])
    loss_B = form.loss(*logps, p_chosen_B=belief_B, beta=case["beta"])
    torch.testing.assert_close(loss_B, torch.tensor(case["losses"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", RECORDED["reward"]["cases"], ids=lambda case: f"margin {case['margin']}")
def test_the_losses_of_scores_are_trls(case):
    chosen_B, rejected_B = torch.tensor(RECORDED["reward"]["scores"]).unbind(1)
    loss_B = reward_loss(chosen_B, rejected_B, p_chosen_B=torch.ones(len(chosen_B)), margin_B=case["margin"])
    torch.testing.assert_close(loss_B, torch.tensor(case["losses"]), rtol=0, atol=1e-5)

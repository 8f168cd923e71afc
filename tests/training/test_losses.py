"""Losses by hand, and where they stand still."""

import math

import pytest
import torch
from torch import tensor as t

from training.losses import dpo_loss, ipo_loss, regularised_dpo_loss, sft_loss, smoothed


def test_dpo_loss_by_hand():
    # margin (-1 + 3) - (-4 + 4) = 2, beta 0.5 -> logit 1 -> log(1 + 1/e)
    loss = dpo_loss(t(-1.0), t(-4.0), t(-3.0), t(-4.0), p_chosen_B=t(1.0), beta=0.5)
    assert loss.item() == pytest.approx(0.3132617)


def test_dpo_loss_with_a_soft_label_by_hand():
    # logit 1 again: 0.75 log(1 + 1/e) + 0.25 log(1 + e)
    loss = dpo_loss(t(-1.0), t(-4.0), t(-3.0), t(-4.0), p_chosen_B=t(0.75), beta=0.5)
    assert loss.item() == pytest.approx(0.75 * 0.3132617 + 0.25 * 1.3132617)


def test_dpo_loss_is_still_where_policy_and_judge_agree():
    chosen = t(-1.0, requires_grad=True)
    p = 1 / (1 + math.exp(-1))  # sigmoid(1)
    dpo_loss(chosen, t(-4.0), t(-3.0), t(-4.0), p_chosen_B=t(p), beta=0.5).backward()
    assert chosen.grad.item() == pytest.approx(0.0, abs=1e-7)


def test_a_tie_pulls_back_to_the_reference():
    chosen = t(-1.0, requires_grad=True)
    dpo_loss(chosen, t(-4.0), t(-3.0), t(-4.0), p_chosen_B=t(0.5), beta=0.5).backward()
    # d/dlogit = sigmoid(1) - 0.5 = 0.2310586, times beta
    assert chosen.grad.item() == pytest.approx(0.5 * 0.2310586)


def test_extreme_margins_stay_finite():
    loss = dpo_loss(t([-1e4, 0.0]), t([0.0, -1e4]), t([0.0, 0.0]), t([0.0, 0.0]), p_chosen_B=t([1.0, 1.0]), beta=1.0)
    assert loss.tolist() == [1e4, 0.0]


def test_sft_loss_counts_short_and_long_replies_the_same():
    assert sft_loss(t([-6.0, -1.0]), t([6, 1])).tolist() == [1.0, 1.0]


def test_the_sft_term_counts_by_belief():
    loss = regularised_dpo_loss(t([1.0, 1.0, 1.0]), t([2.0, 2.0, 2.0]), p_chosen_B=t([1.0, 0.75, 0.5]), sft_weight=0.2)
    torch.testing.assert_close(loss, t([1.4, 1.2, 1.0]))


def test_ipo_loss_by_hand():
    # margin 2 as above, beta 0.5 -> target 1: (2 - 1)^2; with a belief of 0.75 also a quarter of (2 + 1)^2
    loss = ipo_loss(t(-1.0), t(-4.0), t(-3.0), t(-4.0), p_chosen_B=t([1.0, 0.75, 0.0]), beta=0.5)
    assert loss.tolist() == [1.0, 3.0, 9.0]


def test_ipo_stands_still_at_a_margin_that_the_belief_bounds():
    """(2 p - 1) / (2 beta): 0.5 of 1 at p = 0.75; DPO would go on."""
    chosen = t(-2.5, requires_grad=True)  # margin (-2.5 + 3) - 0 = 0.5
    ipo_loss(chosen, t(-4.0), t(-3.0), t(-4.0), p_chosen_B=t(0.75), beta=0.5).backward()
    assert chosen.grad.item() == pytest.approx(0.0, abs=1e-7)


def test_smoothing_turns_a_share_of_the_labels_round():
    torch.testing.assert_close(smoothed(t([1.0, 0.9, 0.5, 0.0]), 0.1), t([0.9, 0.82, 0.5, 0.1]))
    assert smoothed(t(0.7), 0.0).item() == pytest.approx(0.7)

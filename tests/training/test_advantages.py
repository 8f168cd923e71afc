"""Advantages and the losses of PPO by hand, and what must hold whatever the numbers are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor as t

from training.advantages import gae, leave_one_out, next_kl_weight, token_rewards, whitened
from training.losses import policy_loss, value_loss

FINITE = st.floats(-5, 5, width=32)


def test_a_reply_is_paid_at_its_end_and_pays_for_its_kl_at_each_token():
    rewards = token_rewards(t([3.0, -1.0]), t([0.5, 1.0, 2.0]), t([2, 1]), kl_weight=0.1)
    torch.testing.assert_close(rewards, t([-0.05, 2.9, -1.2]))


def test_gae_by_hand():
    # reply 1: the deltas are 0, 0, 1 - 0.5; half of what follows comes back a token. Reply 2: 2 - 1.
    advantages = gae(t([0.0, 0.0, 1.0, 2.0]), t([0.5, 0.5, 0.5, 1.0]), t([3, 1]), gae_lambda=0.5)
    assert advantages.tolist() == [0.125, 0.25, 0.5, 1.0]


def test_a_discount_makes_the_later_reward_smaller():
    assert gae(t([0.0, 1.0]), t([0.0, 0.0]), t([2]), gae_lambda=1.0, gamma=0.5).tolist() == [0.5, 1.0]


@given(st.lists(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=6), min_size=1, max_size=4))
@settings(max_examples=50)
def test_with_lambda_1_the_return_is_what_came_whatever_the_values_are(replies):
    rewards = t([reward for reply in replies for reward, _ in reply], dtype=torch.float64)
    values = t([value for reply in replies for _, value in reply], dtype=torch.float64)
    returns = gae(rewards, values, t([len(reply) for reply in replies]), gae_lambda=1.0) + values
    expected = [sum(reward for reward, _ in reply[place:]) for reply in replies for place in range(len(reply))]
    assert returns.tolist() == pytest.approx(expected)


def test_the_baseline_of_a_reply_is_the_others_mean():
    # 1 - (2 + 6) / 2, 2 - 3.5, 6 - 1.5; the second prompt's two replies are each other's baseline
    advantages = leave_one_out(t([1.0, 2.0, 6.0, 1.0, 0.0]), [3, 2])
    assert advantages.tolist() == [-3.0, -1.5, 4.5, 1.0, -1.0]


def test_whitened_has_mean_0_and_deviation_1_and_equal_values_stay_finite():
    assert whitened(t([1.0, 3.0])).tolist() == pytest.approx([-1.0, 1.0])
    assert whitened(t([2.0, 2.0])).tolist() == [0.0, 0.0]


def test_the_kl_weight_follows_its_target_by_at_most_two_percent_a_step():
    assert next_kl_weight(0.5, kl=2.0, kl_target=1.0) == pytest.approx(0.51)  # error 1, cut to 0.2
    assert next_kl_weight(0.5, kl=0.9, kl_target=1.0) == pytest.approx(0.495)
    assert next_kl_weight(0.5, kl=9.0, kl_target=0.0) == 0.5


def test_policy_loss_by_hand():
    # ratio e^0.5 = 1.6487 and 1/2; gains are cut at 1.2, losses at 0.8, and never the other way
    logp, old = t([-1.0, -1.0, -2.0, -2.0]), t([-1.5, -1.5, -2.0 + 0.6931472, -2.0 + 0.6931472])
    loss = policy_loss(logp, old, t([1.0, -1.0, 1.0, -1.0]), clip=0.2)
    assert loss.tolist() == pytest.approx([-1.2, 1.6487213, -0.5, 0.8])


def test_no_gradient_comes_from_what_has_moved_far_enough():
    logp = t([0.5, 0.5, -0.5], requires_grad=True)
    policy_loss(logp, t([0.0, 0.0, 0.0]), t([1.0, -1.0, 1.0]), clip=0.2).sum().backward()
    assert logp.grad.tolist() == pytest.approx([0.0, 1.6487213, -0.6065307])


def test_value_loss_by_hand():
    # (3 - 2)^2 / 2; cut at 0.5 the value is 0.5: (3 - 0.5)^2 / 2
    loss = value_loss(t([2.0, 2.0]), t([0.0, 1.9]), t([3.0, 3.0]), clip=0.5)
    assert loss.tolist() == pytest.approx([3.125, 0.5])

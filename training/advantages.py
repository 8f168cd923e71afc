"""From scores to advantages: rewards a token, GAE, the leave-one-out baseline, whitening, the adaptive KL weight.

N = reply tokens of all replies behind one another, R = replies (their lengths sum to N). Plain functions, no state.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

# Ziegler et al. 2019 (arXiv:1909.08593), section 2.2: how fast the weight follows, and the largest error it acts on.
_KL_GAIN, _KL_CLIP = 0.1, 0.2
_TINY = 1e-8


def token_rewards(score_R: Tensor, kl_N: Tensor, lengths_R: Tensor, *, kl_weight: float) -> Tensor:
    """What PPO maximises, a value a token: minus the weighted KL there, and the reply's score at its last token.

    `kl_N` is log policy - log reference of each sampled token (arXiv:1909.08593, Eq. 2, taken apart by token).
    """
    rewards_N = -kl_weight * kl_N
    rewards_N[lengths_R.cumsum(0) - 1] += score_R
    return rewards_N


def gae(rewards_N: Tensor, values_N: Tensor, lengths_R: Tensor, *, gae_lambda: float, gamma: float = 1.0) -> Tensor:
    """Generalised advantage estimates of each reply, one a token (arXiv:1506.02438, Eq. 16); 0 follows the last token.

    `values_N` is what the value model expected before the token was written.
    """
    lengths = lengths_R.tolist()
    rewards_RL = pad_sequence(list(rewards_N.split(lengths)), batch_first=True)
    values_RL = pad_sequence(list(values_N.split(lengths)), batch_first=True)
    next_RL = torch.cat([values_RL[:, 1:], torch.zeros_like(values_RL[:, :1])], dim=1)
    delta_RL = rewards_RL + gamma * next_RL - values_RL
    advantage_R = torch.zeros_like(delta_RL[:, 0])
    columns: list[Tensor] = []
    # Beyond a reply's end rewards and values are 0, so its sum begins at its own last token.
    for delta_R in reversed(delta_RL.unbind(1)):
        advantage_R = delta_R + gamma * gae_lambda * advantage_R
        columns.append(advantage_R)
    advantages_RL = torch.stack(columns[::-1], dim=1)
    return torch.cat([row[:length] for row, length in zip(advantages_RL, lengths, strict=True)])


def leave_one_out(reward_R: Tensor, replies_G: Sequence[int]) -> Tensor:
    """Each reply's reward less the mean of the other replies to its prompt (RLOO, arXiv:2402.14740, Eq. 7).

    `replies_G` says how many replies each of G prompts has, at least 2.
    """
    advantages = []
    for reward_K in reward_R.split(list(replies_G)):
        others_K = (reward_K.sum() - reward_K) / (len(reward_K) - 1)
        advantages.append(reward_K - others_K)
    return torch.cat(advantages)


def whitened(values_N: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over all of them."""
    return (values_N - values_N.mean()) * (values_N.var(correction=0) + _TINY).rsqrt()


def next_kl_weight(kl_weight: float, kl: float, kl_target: float) -> float:
    """The adaptive penalty: stronger where the KL of a reply (nats) is over its target, weaker where under.

    arXiv:1909.08593, section 2.2. A target of 0 keeps the weight as it is.
    """
    if kl_target == 0:
        return kl_weight
    error = min(max(kl / kl_target - 1, -_KL_CLIP), _KL_CLIP)
    return kl_weight * (1 + _KL_GAIN * error)

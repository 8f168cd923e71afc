"""The losses as pure functions over tensors, one value a pair or a reply; each names its paper.

B = pairs in the batch, R = replies, A = actions (a reply's tokens, or whole replies). Left out: reductions, which
belong to the trainers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def dpo_loss(
    chosen_logp_B: Tensor,
    rejected_logp_B: Tensor,
    ref_chosen_logp_B: Tensor,
    ref_rejected_logp_B: Tensor,
    *,
    p_chosen_B: Tensor,
    beta: float,
) -> Tensor:
    """Cross-entropy between the judge's belief and the policy's, one value per pair.

    With p_chosen = 1 this is Eq. 7 of arXiv:2305.18290; lower values are soft labels.
    """
    logit_B = beta * implicit_margin(chosen_logp_B, rejected_logp_B, ref_chosen_logp_B, ref_rejected_logp_B)
    return -p_chosen_B * F.logsigmoid(logit_B) - (1 - p_chosen_B) * F.logsigmoid(-logit_B)


def ipo_loss(
    chosen_logp_B: Tensor,
    rejected_logp_B: Tensor,
    ref_chosen_logp_B: Tensor,
    ref_rejected_logp_B: Tensor,
    *,
    p_chosen_B: Tensor,
    beta: float,
) -> Tensor:
    """Squared distance of the margin from 1 / (2 beta), one value per pair: the margin of sure pairs stays bounded.

    Eq. 17 of arXiv:2310.12036 (its tau is `beta`) for p_chosen = 1; else the belief's mean over who won, which is least
    at (2 p - 1) / (2 beta). Its authors mean log-probabilities a token: give those.
    """
    margin_B = implicit_margin(chosen_logp_B, rejected_logp_B, ref_chosen_logp_B, ref_rejected_logp_B)
    target = 1 / (2 * beta)
    return p_chosen_B * (margin_B - target) ** 2 + (1 - p_chosen_B) * (margin_B + target) ** 2


def smoothed(p_chosen_B: Tensor, label_smoothing: float) -> Tensor:
    """The belief where a share `label_smoothing` of the labels is taken to be turned round: conservative DPO.

    p (1 - e) + (1 - p) e, the label of cDPO (E. Mitchell 2023, "A note on DPO with noisy preferences", Eq. 3).
    """
    return p_chosen_B + label_smoothing * (1 - 2 * p_chosen_B)


def implicit_margin(
    chosen_logp_B: Tensor, rejected_logp_B: Tensor, ref_chosen_logp_B: Tensor, ref_rejected_logp_B: Tensor
) -> Tensor:
    """How much further than the reference the policy prefers `chosen`, in nats (the reward margin over beta)."""
    return (chosen_logp_B - ref_chosen_logp_B) - (rejected_logp_B - ref_rejected_logp_B)


def sft_loss(logp_R: Tensor, lengths_R: Tensor) -> Tensor:
    """Negative log-likelihood a token, one value per reply: short and long replies count the same."""
    return -logp_R / lengths_R


def regularised_dpo_loss(dpo_B: Tensor, sft_B: Tensor, *, p_chosen_B: Tensor, sft_weight: float) -> Tensor:
    """DPO plus the likelihood of the chosen reply, as in arXiv:2404.19733 (Eq. 3).

    The likelihood counts by how far the belief is from a tie, 2 p - 1: of two replies that are equally good or
    equally bad, neither is to be imitated.
    """
    return dpo_B + sft_weight * (2 * p_chosen_B - 1) * sft_B


def reward_loss(
    chosen_score_B: Tensor, rejected_score_B: Tensor, *, p_chosen_B: Tensor, margin_B: Tensor | float = 0.0
) -> Tensor:
    """Cross-entropy between people's belief and Bradley and Terry's, one value per pair.

    With p_chosen = 1 this is the loss of arXiv:2203.02155, Eq. 1 (one of its K-choose-2 pairs); `margin_B` is how far
    apart the scores should be at least, arXiv:2307.09288, Eq. 2. Lower beliefs are soft labels, 0.5 a tie.
    """
    gap_B = chosen_score_B - rejected_score_B
    return -p_chosen_B * F.logsigmoid(gap_B - margin_B) - (1 - p_chosen_B) * F.logsigmoid(-gap_B - margin_B)


def policy_loss(logp_A: Tensor, old_logp_A: Tensor, advantage_A: Tensor, *, clip: float) -> Tensor:
    """PPO's clipped surrogate, one value an action, to be minimised (arXiv:1707.06347, Eq. 7 with its sign turned).

    `old_logp_A` are those of the weights that sampled. No gradient comes from an action whose probability has moved by
    more than `clip` in the direction that its advantage asks for.
    """
    ratio_A = (logp_A - old_logp_A).exp()
    return -torch.minimum(ratio_A * advantage_A, ratio_A.clamp(1 - clip, 1 + clip) * advantage_A)


def value_loss(value_A: Tensor, old_value_A: Tensor, return_A: Tensor, *, clip: float) -> Tensor:
    """Half the squared error, one value an action, where a step of more than `clip` earns nothing.

    The clipped value loss of PPO's implementations (arXiv:2005.12729, section 3).
    """
    near_A = old_value_A + (value_A - old_value_A).clamp(-clip, clip)
    return torch.maximum((value_A - return_A) ** 2, (near_A - return_A) ** 2) / 2

"""How far a policy went from its reference, estimated from its own samples. Standard library.

A log-ratio is log p(token) of the policy less that of the reference, for a token that the policy sampled (at
temperature 1, without top-p: else the estimates are of another policy). Estimators k1 and k3 of J. Schulman,
"Approximating KL divergence" (2020). Left out: k2, which is biased, and the penalty in the reward (the trainer's).
"""

import math
from collections.abc import Mapping, Sequence

from training.errors import TrainingError


def k3(log_ratio: float) -> float:
    """r - 1 - log r, with r = exp(-log_ratio): as unbiased as the log-ratio itself (k1), never below 0, and of less
    variance while the policy is near."""
    return math.expm1(-log_ratio) + log_ratio


def kl_metrics(log_ratios: Sequence[Sequence[float]]) -> Mapping[str, float]:
    """Metrics of a set of replies, each given by its tokens' log-ratios.

    - `kl`: KL(policy || reference) in nats a token, by k3; `kl_k1`: by k1. Far apart from each other, they say that the
      samples are few or are not this policy's.
    - `sqrt_kl`: root of the KL of a whole reply (the sum over its tokens, which is exact in expectation by the chain
      rule), the axis of arXiv:2210.10760.
    """
    tokens = sum(map(len, log_ratios))
    if not tokens:
        raise TrainingError("no sampled token to estimate the KL from; sample at least one reply")
    by_k3 = math.fsum(k3(one) for reply in log_ratios for one in reply)
    by_k1 = math.fsum(one for reply in log_ratios for one in reply)
    return {"kl": by_k3 / tokens, "kl_k1": by_k1 / tokens, "sqrt_kl": math.sqrt(by_k3 / len(log_ratios))}

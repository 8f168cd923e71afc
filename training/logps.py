"""Log-probabilities of reply tokens from hidden states, in chunks: the full logits never exist.

The gradient of log p(target) with respect to a hidden state needs only that token's softmax. So it is computed in the
forward pass, chunk by chunk, and kept as one vector of the hidden size a token: two products with the head instead of
the three that recomputing would take. The head is frozen.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

# 256 tokens x 49,152 words x 4 bytes = 50 MB at a time; a CPU multiplies fewer rows slower.
CHUNK_TOKENS = 256


class TokenLogps(torch.autograd.Function):
    """log softmax(h W')[target] for every hidden state; W is frozen."""

    @staticmethod
    def forward(ctx: FunctionCtx, hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor) -> Tensor:
        logps: list[Tensor] = []
        gradients: list[Tensor] = []
        for hidden_CH, targets_C in zip(hidden_NH.split(CHUNK_TOKENS), targets_N.split(CHUNK_TOKENS), strict=True):
            logp_CV = _log_softmax(F.linear(hidden_CH.to(head_VH.dtype), head_VH))
            logps.append(logp_CV.gather(1, targets_C[:, None])[:, 0])
            if ctx.needs_input_grad[0]:
                p_CV = logp_CV.exp_().to(head_VH.dtype)
                gradients.append((head_VH[targets_C] - p_CV @ head_VH).to(hidden_NH.dtype))
        if gradients:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(logps)

    @staticmethod
    def backward(ctx: FunctionCtx, grad_N: Tensor) -> tuple[Tensor, None, None]:
        (gradient_NH,) = ctx.saved_tensors
        return gradient_NH * grad_N[:, None].to(gradient_NH.dtype), None, None


def _log_softmax(logits_CV: Tensor) -> Tensor:
    """In at least fp32: sums over a vocabulary lose too much in bf16."""
    return logits_CV.log_softmax(-1, dtype=torch.promote_types(logits_CV.dtype, torch.float32))


def token_logps(hidden_NH: Tensor, head_VH: Tensor, targets_N: Tensor) -> Tensor:
    """log p(target) a token, in fp32 or better."""
    logps_N: Tensor = TokenLogps.apply(hidden_NH, head_VH, targets_N)
    return logps_N


def token_kls(hidden_NH: Tensor, ref_hidden_NH: Tensor, head_VH: Tensor) -> Tensor:
    """KL(policy || reference) of the next token over the whole vocabulary, in nats, one value a hidden state; exact."""
    kls: list[Tensor] = []
    for hidden_CH, ref_hidden_CH in zip(hidden_NH.split(CHUNK_TOKENS), ref_hidden_NH.split(CHUNK_TOKENS), strict=True):
        logp_CV, ref_logp_CV = (
            _log_softmax(F.linear(one_CH.to(head_VH.dtype), head_VH)) for one_CH in (hidden_CH, ref_hidden_CH)
        )
        kls.append((logp_CV.exp() * (logp_CV - ref_logp_CV)).sum(1))
    return torch.cat(kls)


def sum_by_reply(logps_N: Tensor, reply_N: Tensor, replies: int) -> Tensor:
    """Sum the tokens' log-probabilities of each reply."""
    return logps_N.new_zeros(replies).index_add(0, reply_N, logps_N)

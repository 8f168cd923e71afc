"""A LoRA linear layer (arXiv:2106.09685) with a hand-written backward pass, as a peft layer.

peft's own forward makes three tensors of the output's size and casts the input; on a CPU these cost a third of the
base layer. Here W + scaling B A is one matrix for the length of a product, where rounding allows it and the tokens
repay it; elsewhere `summed_product` adds the adapter's part. The adapter's format, init and saving stay peft's.
No dropout.
"""

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor
from torch.autograd.function import FunctionCtx


class LoraProduct(torch.autograd.Function):
    """y = x W' + b + scaling (x A') B'. W and b are frozen; gradients go to x, A and B."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_TI: Tensor,
        weight_OI: Tensor,
        bias_O: Tensor | None,
        a_RI: Tensor,
        b_OR: Tensor,
        scaling: float,
    ) -> Tensor:
        x_TI = x_TI.to(weight_OI.dtype)
        scaled_OR = (b_OR * scaling).to(weight_OI.dtype)
        a_as_w_RI = a_RI.to(weight_OI.dtype)
        ctx.scaling = scaling
        if merging_pays(weight_OI, len(x_TI)):
            ctx.save_for_backward(x_TI, weight_OI, a_RI, b_OR, None)
            return F.linear(x_TI, torch.addmm(weight_OI, scaled_OR, a_as_w_RI), bias_O)
        low_TR = F.linear(x_TI, a_as_w_RI)
        ctx.save_for_backward(x_TI, weight_OI, a_RI, b_OR, low_TR)
        return summed_product(x_TI, low_TR, weight_OI, scaled_OR, bias_O)

    @staticmethod
    def backward(ctx: FunctionCtx, grad_TO: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        x_TI, weight_OI, a_RI, b_OR, low_TR = ctx.saved_tensors
        dtype = weight_OI.dtype
        grad_TO = grad_TO.to(dtype)
        scaled_OR, a_as_w_RI = (b_OR * ctx.scaling).to(dtype), a_RI.to(dtype)
        grad_low_TR = grad_TO @ scaled_OR
        grad_a_RI = (grad_low_TR.T @ x_TI).to(a_RI.dtype)
        low_TR = F.linear(x_TI, a_as_w_RI) if low_TR is None else low_TR
        grad_b_OR = (grad_TO.T @ low_TR).to(b_OR.dtype).mul_(ctx.scaling)
        if not ctx.needs_input_grad[0]:
            return None, None, None, grad_a_RI, grad_b_OR, None
        if merging_pays(weight_OI, len(x_TI)):
            grad_x_TI = grad_TO @ torch.addmm(weight_OI, scaled_OR, a_as_w_RI)
        else:
            grad_x_TI = (grad_TO @ weight_OI).addmm_(grad_low_TR, a_as_w_RI)
        return grad_x_TI, None, None, grad_a_RI, grad_b_OR, None


def summed_product(x_TI: Tensor, low_TR: Tensor, weight_OI: Tensor, scaled_OR: Tensor, bias_O: Tensor | None) -> Tensor:
    """x W' + low (scaling B)' + b.

    In 16 bits it is one product, rounded once: a young adapter's part is mostly less than half a bit of x W', so that
    a sum with the rounded x W' would be x W' again.
    """
    if weight_OI.dtype.itemsize >= 4:
        return F.linear(x_TI, weight_OI, bias_O).addmm_(low_TR, scaled_OR.T)
    return F.linear(torch.cat((x_TI, low_TR), 1), torch.cat((weight_OI, scaled_OR), 1), bias_O)


def merging_pays(weight_OI: Tensor, tokens: int) -> bool:
    """Merging costs O I R, the two small products T (O + I) R; in 16 bits the sum would lose the adapter's low bits."""
    rows, columns = weight_OI.shape
    return weight_OI.dtype.itemsize >= 4 and tokens * (rows + columns) > rows * columns


class LoraLinear(Linear):
    """peft's LoRA layer for `nn.Linear`, with one adapter, faster where it trains."""

    def forward(self, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        """(..., in) to (..., out)."""
        name = self.active_adapters[0]
        if self.disable_adapters or self.merged or name not in self.lora_A:
            return self.base_layer(x)
        base = self.base_layer
        y_TO = LoraProduct.apply(
            x.reshape(-1, x.shape[-1]),
            base.weight,
            base.bias,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name],
        )
        return y_TO.view(*x.shape[:-1], -1)

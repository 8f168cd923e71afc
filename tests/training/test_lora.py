"""The LoRA product: what it rounds, and when."""

import pytest
import torch
import torch.nn.functional as F

from training.lora import LoraProduct

# The step from 1 to the next number in bf16, which has seven bits behind the point.
STEP = 2.0**-7


def test_in_bf16_the_adapters_part_is_added_before_the_sum_is_rounded():
    """x W' is 1 and 3/8 of a step, the adapter's part 1/4: the next number. The rounded x W' and 1/4 would be 1."""
    x_TI = torch.ones(1, 2, dtype=torch.bfloat16)
    weight_OI = torch.tensor([[1.0, 0.375 * STEP]], dtype=torch.bfloat16)
    a_RI, b_OR = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.25 * STEP]])
    assert LoraProduct.apply(x_TI, weight_OI, None, a_RI, b_OR, 1.0).item() == 1 + STEP
    assert LoraProduct.apply(x_TI, weight_OI, None, a_RI, 0 * b_OR, 1.0).item() == 1


def test_in_bf16_a_young_adapter_moves_the_mean_by_what_it_adds():
    """It adds 1/20 of a step to each of many outputs between 1 and 2; the rounded outputs take it on average."""
    numbers = torch.Generator().manual_seed(0)
    x_TI = torch.cat((torch.ones(512, 1), torch.rand(512, 1, generator=numbers)), 1).bfloat16()
    weight_OI = torch.cat((torch.ones(64, 1), torch.rand(64, 1, generator=numbers)), 1).bfloat16()
    a_RI, b_OR = torch.tensor([[1.0, 0.0]]), torch.full((64, 1), STEP / 20)
    with_adapter, without = (
        LoraProduct.apply(x_TI, weight_OI, None, a_RI, b, 1.0).double().mean().item() for b in (b_OR, 0 * b_OR)
    )
    assert with_adapter - without == pytest.approx(STEP / 20, rel=0.1)


def test_in_fp32_few_tokens_take_the_two_products_as_they_were():
    numbers = torch.Generator().manual_seed(0)
    x_TI, weight_OI, a_RI, b_OR = (
        torch.randn(*shape, generator=numbers) for shape in ((2, 48), (32, 48), (4, 48), (32, 4))
    )
    bias_O = torch.randn(32, generator=numbers)
    plain_TO = F.linear(x_TI, weight_OI, bias_O).addmm_(x_TI @ a_RI.T, (b_OR * 2.0).T)
    assert torch.equal(LoraProduct.apply(x_TI, weight_OI, bias_O, a_RI, b_OR, 2.0), plain_TO)

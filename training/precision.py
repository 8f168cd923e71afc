"""Which device and which number format a run uses."""

from dataclasses import dataclass
from typing import Literal

import torch

from training.configs import Precision


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where and in which format the model computes. LoRA weights and optimiser states are fp32 in both formats."""

    device: torch.device
    precision: Literal["bf16", "fp32"]

    @property
    def dtype(self) -> torch.dtype:
        """The frozen weights' and the activations' format."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


def resolve_numbers(precision: Precision) -> Numbers:
    """`auto` takes bf16 where the machine has bf16 products in hardware: a CPU without is 5 times slower in bf16."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision != "auto":
        return Numbers(device, precision)
    if device.type == "cuda":
        return Numbers(device, "bf16" if torch.cuda.is_bf16_supported() else "fp32")
    abilities = torch.cpu.get_capabilities()
    return Numbers(device, "bf16" if abilities.get("amx_bf16") or abilities.get("avx512_bf16") else "fp32")

"""How fast this machine multiplies matrices of a model's own shapes: the ceiling for any trainer of it.

    python -m benchmarks.gemm --model FOLDER --precision fp32 [--tokens 1024]

torch.mm into ready memory: each linear layer of one layer forwards and as the gradient of its input, and the head
likewise on half of the tokens, for replies are about half. The best of five times a shape; the result weighs the
shapes by their share in a step of DPO (two passes forwards, one back). Prints JSON: {"flops_per_s"}.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.flops import Shape, read_shape
from training.precision import Numbers, resolve_numbers

_TIMES = 5


def gemm_flops_per_s(shape: Shape, tokens: int, numbers: Numbers) -> float:
    """Over one layer's matrices, `num_hidden_layers` times, and the head's."""
    flops, seconds = 0.0, 0.0
    for (rows, inner, columns), count in products(shape, tokens).items():
        flops += count * 2 * rows * inner * columns
        seconds += count * best_seconds(rows, inner, columns, numbers)
    return flops / seconds


def products(shape: Shape, tokens: int) -> Counter[tuple[int, int, int]]:
    """(m, k, n) of the products of a step of `tokens` tokens, half of them to be scored, and how often each is made."""
    found: Counter[tuple[int, int, int]] = Counter()
    for out, into in shape.layer_matrices:
        found[tokens, into, out] += 2 * shape.num_hidden_layers
        found[tokens, out, into] += shape.num_hidden_layers
    found[tokens // 2, shape.hidden_size, shape.vocab_size] += 2
    found[tokens // 2, shape.vocab_size, shape.hidden_size] += 1
    return found


def best_seconds(rows: int, inner: int, columns: int, numbers: Numbers) -> float:
    """Of one product; the weights lie in memory as a linear layer's forward pass finds them."""

    def matrix(height: int, width: int) -> Tensor:
        return torch.randn(height, width, device=numbers.device).to(numbers.dtype)

    left, right, out = matrix(rows, inner), matrix(columns, inner).T, matrix(rows, columns)
    times = []
    for _ in range(_TIMES + 1):
        synchronize()
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def synchronize() -> None:
    """Wait for the GPU where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    parser.add_argument("--tokens", type=int, default=1024)
    options = parser.parse_args()
    torch.manual_seed(0)
    speed = gemm_flops_per_s(read_shape(options.model), options.tokens, resolve_numbers(options.precision))
    print(json.dumps({"flops_per_s": speed}))


if __name__ == "__main__":
    main()

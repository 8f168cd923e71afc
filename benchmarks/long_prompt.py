"""What a pair with a long prompt costs beside one pass over the same tokens.

    python -m benchmarks.long_prompt --model FOLDER --precision fp32 [--prompt-tokens 2000] [--reply-tokens 32]

The pair goes through our layout: reference forwards, policy forwards and back, the prompt once for both replies. Beside
it stand the same three passes over prompt, chosen and rejected as one plain causal sequence, whose head reads as many
tokens. They take turns; of each the best counts. Prints JSON as its last line.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from training.allocator import keep_freed_memory
from training.configs import DpoConfig
from training.logps import token_logps
from training.model import Policy, load_policy, reply_logps
from training.packing import TokenGroup, pack_groups
from training.precision import resolve_numbers

_TURNS = 3


def best_seconds(policy: Policy, group: TokenGroup) -> tuple[float, float]:
    """Of the pair, and of the plain pass."""
    packed = pack_groups([group], policy.numbers.dtype, policy.numbers.device)

    def plain_logps() -> Tensor:
        hidden_TH = policy.causal.base_model(input_ids=packed.tokens_T[None], use_cache=False).last_hidden_state[0]
        head_VH = policy.causal.get_output_embeddings().weight
        return token_logps(hidden_TH.index_select(0, packed.source_N), head_VH, packed.targets_N)

    pair, plain = [], []
    for _ in range(_TURNS):
        pair.append(seconds_of_step(policy, lambda: reply_logps(policy, packed)))
        plain.append(seconds_of_step(policy, plain_logps))
    return min(pair), min(plain)


def seconds_of_step(policy: Policy, logps: Callable[[], Tensor]) -> float:
    """Reference, policy and gradient."""
    began = time.perf_counter()
    with policy.as_reference():
        reference = logps()
    (logps() - reference).sum().backward()
    if policy.numbers.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def drawn_group(prompt_tokens: int, reply_tokens: int, vocabulary: int) -> TokenGroup:
    """Token ids at random: what they say costs nothing."""
    draw = random.Random(0)
    prompt, chosen, rejected = (
        tuple(draw.randrange(vocabulary) for _ in range(count)) for count in (prompt_tokens, reply_tokens, reply_tokens)
    )
    return TokenGroup("long", prompt, (chosen, rejected))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    parser.add_argument("--prompt-tokens", type=int, default=2000)
    parser.add_argument("--reply-tokens", type=int, default=32)
    options = parser.parse_args()
    keep_freed_memory()
    config = DpoConfig(model=options.model, rows=Path("unread"), output=Path("unwritten"))
    policy = load_policy(config, resolve_numbers(options.precision))
    vocabulary = int(policy.causal.config.vocab_size)
    pair, plain = best_seconds(policy, drawn_group(options.prompt_tokens, options.reply_tokens, vocabulary))
    line = {
        "prompt_tokens": options.prompt_tokens,
        "reply_tokens": options.reply_tokens,
        "pair_seconds": pair,
        "pass_seconds": plain,
        "long_prompt_ratio": pair / plain,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()

"""What the bundled 135M base makes of HH-RLHF's pairs, computed once and kept: the inputs of the mixing study's head.

A reply's features are the mean of its tokens' hidden states after the model's middle layer, for the prompt's last and
the reply's first tokens only. Middle layers serve a linear head as well as the last, at half the cost.
"""

import gzip
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.helpful_pairs import read_pair
from benchmarks.mixing_world import PairFeatures
from judges.records import Comparison, Message
from service.demo.base_model import base_model_folder
from service.demo.recipe import CACHE
from training.precision import resolve_numbers

FILES = ("hh-rlhf/helpful-base.jsonl.gz", "hh-rlhf/harmless-base.jsonl.gz")
PROMPT_TOKENS, REPLY_TOKENS, LAYERS_SHARE, ROWS_AT_ONCE = 32, 96, 0.5, 32
_VERSION = 1


def real_pairs(most: int) -> list[Comparison]:
    """Of each file the first `most / 2` pairs with two different replies; reply `a` is the one people chose."""
    folder = Path(os.environ.get("CHARTER_DATA", ""))
    found: list[Comparison] = []
    for file in FILES:
        if not (folder / file).is_file():
            sys.exit(f"set CHARTER_DATA to the folder that holds {file}")
        own = [pair for pair in _pairs(folder / file) if pair.a and pair.b and pair.a != pair.b]
        found += own[: most // len(FILES)]
    return found


def pair_features(pairs: Sequence[Comparison], cache: Path) -> PairFeatures:
    """Read from `cache`, or computed and put there, named by the hash of the pairs and the caps."""
    matter = json.dumps([[p.a, p.b, [m.content for m in p.messages]] for p in pairs])
    caps = f"{_VERSION}/{PROMPT_TOKENS}/{REPLY_TOKENS}/{LAYERS_SHARE}/"
    kept = cache / f"{hashlib.sha256((caps + matter).encode()).hexdigest()[:16]}.npz"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, reply_RH=_reply_features(pairs))
        temporary.rename(kept)
    reply_RH = np.load(kept)["reply_RH"].astype(np.float64)
    chars_N2 = np.array([[len(p.a), len(p.b)] for p in pairs], dtype=np.int64)
    harmless_N = np.array(["harmless" in p.id for p in pairs])
    prompts = tuple(hashlib.sha256("\n".join(m.content for m in p.messages).encode()).hexdigest() for p in pairs)
    return PairFeatures(reply_RH[: len(pairs)] - reply_RH[len(pairs) :], chars_N2, prompts, harmless_N)


def _pairs(path: Path) -> Iterator[Comparison]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            yield read_pair(f"{path.name}-{number}", json.loads(line))


def _reply_features(pairs: Sequence[Comparison]) -> NDArray[np.float32]:
    """Of all `a`, then of all `b`: 2N x H. Replies of about the same length go together."""
    folder = base_model_folder(None, CACHE)
    dtype = resolve_numbers("auto").dtype
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    layers = model.model.layers
    del layers[round(LAYERS_SHARE * len(layers)) :]
    texts = [_ids(tokenizer, p.messages, reply) for side in ("a", "b") for p, reply in _replies(pairs, side)]
    order = sorted(range(len(texts)), key=lambda n: sum(map(len, texts[n])))
    out_RH = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), ROWS_AT_ONCE):
        at = order[start : start + ROWS_AT_ONCE]
        out_RH[at] = _means(model, [texts[n] for n in at])
    return out_RH


def _replies(pairs: Sequence[Comparison], side: str) -> Iterator[tuple[Comparison, str]]:
    for pair in pairs:
        yield pair, pair.a if side == "a" else pair.b


def _ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], reply: str) -> tuple[list[int], list[int]]:
    said = "\n".join(f"{message.role}: {message.content}" for message in messages) + "\nassistant:"
    return tokenizer(said)["input_ids"][-PROMPT_TOKENS:], tokenizer(" " + reply)["input_ids"][:REPLY_TOKENS]


@torch.inference_mode()
def _means(model: PreTrainedModel, texts: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
    """Mean hidden state over each reply's tokens; the rows are padded to the right, which causal attention ignores."""
    longest = max(len(prompt) + len(reply) for prompt, reply in texts)
    ids_BT = torch.tensor([[*p, *r, *[0] * (longest - len(p) - len(r))] for p, r in texts])
    place_T = torch.arange(longest)
    begin_B = torch.tensor([len(p) for p, _ in texts])
    end_B = torch.tensor([len(p) + len(r) for p, r in texts])
    counts_BT = (place_T >= begin_B[:, None]) & (place_T < end_B[:, None])
    hidden_BTH = model.model(input_ids=ids_BT, use_cache=False).last_hidden_state.float()
    sums_BH = (hidden_BTH * counts_BT[..., None]).sum(1)
    return (sums_BH / counts_BT.sum(1)[:, None]).numpy()

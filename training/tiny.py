"""A tiny random Llama with a byte tokenizer and a chat template, for tests and for trying the pipe without weights.

It knows nothing: only shapes, formats and plumbing can be tried on it. 260 tokens, 2 layers, about 300 kB.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.publish import published_folder

# ChatML, as the bundled SmolLM2 has it, without a system message of its own.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ROLES = {
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    "pad_token": "<|pad|>",
    "unk_token": "<|endoftext|>",
}
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")


def build_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write the model to `folder` (kept if it exists) and return it; the same seed gives the same weights."""
    if folder.exists():
        return folder
    config = LlamaConfig(
        vocab_size=len(_SPECIAL) + 256,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    # The caller's random state is not ours to move.
    with torch.random.fork_rng(devices=[]), published_folder(folder) as temporary:
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(temporary)
        byte_tokenizer().save_pretrained(temporary)
    return folder


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and four special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id for id, token in enumerate([*_SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(_SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **_ROLES,
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a tiny random model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(build_tiny_model(arguments.folder, arguments.seed))

"""The sampler in the trainer's process writes what the plain model would with the same draws, token by token."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies
from transformers import LlamaConfig, LlamaForCausalLM

from training.configs import PpoConfig
from training.errors import LostReply, TrainingError
from training.model import Policy, check_layout, load_policy
from training.online_parts import open_sampler
from training.packing import TokenGroup
from training.precision import Numbers
from training.tiny import build_tiny_model, byte_tokenizer
from training.torch_sampler import TorchSampler, draws

from .test_online import config

FP32 = Numbers(torch.device("cpu"), "fp32")
OPENING = tuple(range(100, 112))
Tokens = tuple[int, ...]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """With three query heads a key, and an adapter that does something."""
    folder = tmp_path_factory.mktemp("grouped")
    sizes = {"vocab_size": 260, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**sizes, **heads)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return moved(load_policy(config(folder, folder, PpoConfig), FP32))


def moved(policy: Policy) -> Policy:
    """Far enough from the base that a token drawn from the base would be another."""
    with torch.no_grad():
        for weight in policy.adapter_weights().values():
            weight += torch.linspace(-1, 1, weight.numel(), dtype=weight.dtype).view_as(weight)
    return policy


def plain_replies(policy: Policy, prompts: list[Tokens], reply_tokens: int, seed: int) -> list[Tokens]:
    """Every token from a pass of its own over everything before it."""
    draws_PR = draws(prompts, reply_tokens, seed)
    return [plain_reply(policy, prompt, own) for prompt, own in zip(prompts, draws_PR.tolist(), strict=True)]


def plain_reply(policy: Policy, prompt: Tokens, draws: list[float]) -> Tokens:
    reply: Tokens = ()
    for draw in draws:
        with torch.no_grad():
            p_V = policy.causal(torch.tensor([prompt + reply]), use_cache=False).logits[0, -1].softmax(-1).tolist()
        sums = itertools.accumulate(p_V)
        reply += (next((token for token, total in enumerate(sums) if total > draw), len(p_V) - 1),)
        if reply[-1] == 2:
            break
    return reply


@settings(max_examples=25, deadline=None)
@given(data=strategies.data())
def test_replies_are_the_plain_models(policy: Policy, data: strategies.DataObject):
    tails = strategies.lists(strategies.integers(0, 259), min_size=1, max_size=30).map(tuple)
    opening = data.draw(strategies.sampled_from([(), OPENING]))
    prompts = [opening + tail for tail in data.draw(strategies.lists(tails, min_size=1, max_size=5))]
    prompts = random.Random(len(prompts)).choices(prompts, k=6)  # some of them more than once
    reply_tokens = data.draw(strategies.integers(1, 6))
    sampler = TorchSampler(policy, reply_tokens=reply_tokens, ends=(2,), tokens_per_batch=2_500)
    sampler.update("these")
    found = sampler.sample(prompts, seed=7)
    assert [reply.tokens for reply in found] == plain_replies(policy, prompts, reply_tokens, seed=7)
    assert all(reply.finished == (reply.tokens[-1] == 2) and reply.weights == "these" for reply in found)


def test_a_prompts_replies_are_its_own_whatever_goes_with_it_and_in_which_process():
    """So ranks that write a part each write what one would. A tenth of the draws is below 0.1, to three deviations."""
    asked = [(1, 2), (3,), (1, 2), (3,), (4,)]
    whole_PR = draws(asked, 200, seed=7)
    own_PR = torch.cat([draws([(3,), (3,), (4,)], 200, seed=7), draws([(1, 2), (1, 2)], 200, seed=7)])
    assert torch.equal(own_PR, whole_PR[[1, 3, 4, 0, 2]])
    assert len({tuple(row) for row in whole_PR.tolist()}) == 5
    assert not torch.equal(draws(asked, 200, seed=8), whole_PR)
    assert abs((whole_PR < 0.1).double().mean().item() - 0.1) < 3 * (0.1 * 0.9 / 1000) ** 0.5


def test_the_reference_writes_with_its_adapter_off(policy: Policy):
    sampler, prompts = TorchSampler(policy, reply_tokens=8, ends=(2,), tokens_per_batch=2_500), [(5, 6, 7), (8, 9)]
    with policy.as_reference():
        found = [reply.tokens for reply in sampler.sample(prompts, seed=1)]
        assert found == plain_replies(policy, prompts, 8, seed=1)
    assert found != [reply.tokens for reply in sampler.sample(prompts, seed=1)]


def test_more_prompts_than_go_at_once_come_back_in_their_order(policy: Policy):
    prompts = [(5, 6, 7, 8, 10 + n) for n in range(5)] + [(5, 6, 20 + n) for n in range(5)]
    wanted = plain_replies(policy, prompts, 3, seed=1)
    for most in (1, 6, 2_500):  # each alone; four short ones, one with two long ones, three long ones; all
        found = TorchSampler(policy, reply_tokens=3, ends=(2,), tokens_per_batch=most).sample(prompts, seed=1)
        assert [reply.tokens for reply in found] == wanted
    ends = TorchSampler(policy, reply_tokens=1, ends=tuple(range(260)), tokens_per_batch=1)
    assert all(reply.finished and len(reply.tokens) == 1 for reply in ends.sample(prompts, seed=1))


def test_lost_numbers_and_windows_that_replies_outgrow_are_told(tmp_path: Path):
    tiny = build_tiny_model(tmp_path / "tiny")
    lost = load_policy(config(tmp_path, tiny, PpoConfig), FP32)
    with torch.no_grad():
        next(iter(lost.adapter_weights().values())).fill_(float("nan"))
    with pytest.raises(LostReply, match="of a reply's next token are no numbers; lower learning_rate, or") as caught:
        TorchSampler(lost, reply_tokens=4, ends=(2,), tokens_per_batch=2_500).sample([(1, 70)], seed=1)
    assert caught.value.prompt == (1, 70)

    whole = load_policy(config(tmp_path, tiny, PpoConfig), FP32)
    for layer in whole.causal.model.layers:
        layer.self_attn.forward = windowed(layer.self_attn.forward, 8)
    asked, ends = [(1, 70, 71, 72)], (259,)
    (reply,) = TorchSampler(whole, reply_tokens=4, ends=ends, tokens_per_batch=25).sample(asked, seed=1)
    assert len(reply.tokens) == 4
    with pytest.raises(TrainingError, match="needs sliding_window"):
        TorchSampler(whole, reply_tokens=9, ends=ends, tokens_per_batch=25).sample(asked, seed=1)


def test_a_model_that_writes_otherwise_than_the_packed_layout_sees_is_refused(tmp_path: Path, tiny: Path):
    """Of two layers with one attention module the keys of the second alone are kept for both."""
    wanted, asked = config(tmp_path, tiny, PpoConfig), (1, 70, 71, 72)
    shared = load_policy(wanted, FP32)
    open_sampler(wanted, shared, (2,), asked)
    layers = shared.causal.model.layers
    layers[1].self_attn = layers[0].self_attn
    check_layout(shared, TokenGroup("r7", asked, (asked[-2:],)))
    with pytest.raises(TrainingError, match=r"token by token are \d\.\d+ nats a token from .*; set sampler: vllm"):
        open_sampler(wanted, shared, (2,), asked)
    open_sampler(replace(wanted, reply_tokens=1), shared, (2,), asked)  # drawn from the pass over the prompt


@pytest.mark.parametrize("asked", [(5,), (5, 6), (7,) * 30])
def test_models_that_write_as_they_see_are_taken_whatever_the_prompt(policy: Policy, asked: Tokens):
    TorchSampler(policy, reply_tokens=6, ends=(2,), tokens_per_batch=2_500).check(asked)


def windowed(forward, tokens):
    return lambda *arguments, **options: forward(*arguments, **options, sliding_window=tokens)

"""The fast path (packed, prefix-shared, chunked, own LoRA) equals the plain path in float64: losses and gradients.

The plain path is transformers' own attention, peft's own LoRA layers, one forward a reply and full logits.
Tolerances are 1e-6 and not 1e-12 because transformers' norms compute in fp32 whatever the model's format is.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast

from judges.records import Message
from training import logps
from training.configs import DpoConfig
from training.errors import RowError, TrainingError
from training.losses import dpo_loss
from training.model import Policy, check_layout, load_policy, plain_reply_logps, reply_logps
from training.packing import TokenGroup, opening_tokens, pack_groups, split_by_tokens
from training.precision import Numbers
from training.tokenising import load_tokenizer, prompt_tokens

CPU = torch.device("cpu")
TOKENS = st.integers(4, 259)


def reply(longest: int = 12) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(TOKENS, min_size=1, max_size=longest).map(tuple)


def group(replies: int = 2) -> st.SearchStrategy[TokenGroup]:
    return st.builds(
        TokenGroup, st.just("r"), reply(20), st.lists(reply(), min_size=replies, max_size=replies).map(tuple)
    )


def config_for(model: Path, **changes: object) -> DpoConfig:
    config = DpoConfig(model=model, rows=Path("rows"), output=Path("out"), lora_rank=4)
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fast(tiny: Path) -> Policy:
    policy = load_policy(config_for(tiny), Numbers(CPU, "fp32"))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in policy.adapter_weights().items():
            if "lora_B" in name:  # B starts at zero: give it values, or half the gradients would be zero
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    policy.model.double()
    return policy


@pytest.fixture(scope="module")
def plain(tiny: Path, fast: Policy) -> Policy:
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float64, attn_implementation="eager")
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=targets)).double().eval()
    policy = Policy(model, Numbers(CPU, "fp32"))
    with torch.no_grad():
        for name, weight in policy.adapter_weights().items():
            weight.copy_(fast.adapter_weights()[name])
    return policy


def gradients(policy: Policy, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    weights = policy.adapter_weights()
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))


def assert_equal_paths(fast: Policy, plain: Policy, groups: list[TokenGroup]) -> None:
    packed = pack_groups(groups, torch.float64, CPU)
    ours, theirs = reply_logps(fast, packed), plain_reply_logps(plain, groups)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    losses = []
    for policy, values in ((fast, ours), (plain, theirs)):
        chosen, rejected = values.view(-1, 2).unbind(1)
        zero = torch.zeros_like(chosen)
        loss = dpo_loss(chosen, rejected, zero, zero - 1, p_chosen_B=zero + 0.8, beta=0.3).sum()
        losses.append((loss, gradients(policy, loss)))
    torch.testing.assert_close(losses[0][0], losses[1][0], rtol=1e-6, atol=1e-6)
    for name, gradient in losses[0][1].items():
        torch.testing.assert_close(gradient, losses[1][1][name], rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(groups=st.lists(group(), min_size=1, max_size=4))
def test_random_shapes(fast: Policy, plain: Policy, groups: list[TokenGroup]):
    assert_equal_paths(fast, plain, groups)


@pytest.mark.parametrize(
    "replies",
    [((2,), (2,)), ((2,), (5, 6, 2)), ((5, 6, 2), (5, 6, 2)), ((9, 2), (2,))],
    ids=["both of length 1", "one of length 1", "equal replies", "the second of length 1"],
)
@pytest.mark.parametrize("prompt", [(7,), (7, 8, 9)], ids=["shortest prompt", "prompt"])
def test_edges(fast: Policy, plain: Policy, replies: tuple[tuple[int, ...], ...], prompt: tuple[int, ...]):
    assert_equal_paths(fast, plain, [TokenGroup("r", prompt, replies), TokenGroup("s", (4, 5), ((6,), (7, 8)))])


def test_an_empty_prompt_is_what_the_template_writes_around_nothing(fast: Policy, plain: Policy, tiny: Path):
    tokenizer = load_tokenizer(tiny)
    empty = [(Message("user", ""),), (Message("system", ""), Message("user", ""))]
    prompts = [prompt_tokens(messages, tokenizer, "here") for messages in empty]
    groups = [TokenGroup(str(n), prompt, ((5, 6, 2), (2,))) for n, prompt in enumerate(prompts)]
    assert_equal_paths(fast, plain, groups)
    with pytest.raises(RowError, match="row 'r': its prompt is empty, and the chat template writes nothing around it"):
        TokenGroup("r", (), ((5, 6, 2),))


OPENING = tuple(range(20, 32))


@settings(max_examples=15, deadline=None)
@given(groups=st.lists(group(), min_size=2, max_size=4))
def test_prompts_that_begin_alike(fast: Policy, plain: Policy, groups: list[TokenGroup]):
    alike = [replace(group, prompt=OPENING + group.prompt) for group in groups]
    packed = pack_groups(alike, torch.float64, CPU)
    assert packed.opening_tokens >= len(OPENING)
    assert len(packed.tokens_T) == sum(g.tokens for g in alike) - (len(alike) - 1) * packed.opening_tokens
    assert_equal_paths(fast, plain, alike)


def test_the_opening_is_what_all_prompts_begin_with():
    def opening(*prompts: tuple[int, ...]) -> int:
        return opening_tokens([TokenGroup("r", prompt, ((2,),)) for prompt in prompts])

    assert opening((*OPENING, 1), (*OPENING, 2), (*OPENING, 1, 5)) == 12
    assert opening((*OPENING, 1), (*OPENING, 1)) == 12  # the last token is each group's own
    assert opening(OPENING, (*OPENING, 1)) == 11
    assert opening((*OPENING, 1), (9, *OPENING)) == 0
    assert opening(OPENING[:8], OPENING) == 0  # 7 would be too few
    assert opening((*OPENING, 1)) == 0  # alone, it shares nothing


def test_hidden_states_go_from_one_batch_to_another():
    groups = [TokenGroup(str(n), (*OPENING, n), ((n, n, 2), (2,))) for n in range(3)]
    three, two = (pack_groups(some, torch.float32, CPU) for some in (groups, groups[1:]))
    of_groups = three.of_groups(three.tokens_T[None, :, None])
    assert [one.shape[1] for one in of_groups] == [group.tokens for group in groups]
    assert of_groups[1][0, :, 0].tolist() == [*OPENING, 1, 1, 1]
    assert torch.equal(two.joined(of_groups[1:])[0, :, 0], two.tokens_T)


def test_more_tokens_than_one_chunk_of_the_head(fast: Policy, plain: Policy):
    long = tuple(4 + n % 250 for n in range(logps.CHUNK_TOKENS + 3))
    assert_equal_paths(fast, plain, [TokenGroup("r", (7, 8), (long, long[::-1]))])


def test_the_reference_is_the_base_alone(fast: Policy, tiny: Path):
    groups = [TokenGroup("r", (7, 8, 9), ((10, 2), (11, 12, 2)))]
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float64)
    ids = torch.tensor([[7, 8, 9, 11, 12, 2]])
    expected = base(ids).logits[0, 2:5].log_softmax(-1).gather(1, ids[0, 3:, None]).sum()
    with fast.as_reference():
        reference = reply_logps(fast, pack_groups(groups, torch.float64, CPU))
    assert not reference.requires_grad
    torch.testing.assert_close(reference[1], expected, rtol=1e-6, atol=1e-6)
    assert not torch.isclose(reply_logps(fast, pack_groups(groups, torch.float64, CPU))[1], expected)


def test_gradient_checkpointing_gives_the_same_gradients(tiny: Path):
    groups = [TokenGroup("r", (7, 8, 9), ((10, 2), (11, 12, 2)))]
    found = []
    for recompute in (False, True):
        policy = load_policy(config_for(tiny, gradient_checkpointing=recompute), Numbers(CPU, "fp32"))
        values = reply_logps(policy, pack_groups(groups, torch.float32, CPU))
        found.append(gradients(policy, values[0] - values[1]))
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name])


def test_bf16_is_near_fp32(tiny: Path):
    groups = [TokenGroup("r", (7, 8, 9), ((10, 2), (11, 12, 2)))]
    values = [
        reply_logps(load_policy(config_for(tiny), numbers), pack_groups(groups, numbers.dtype, CPU))
        for numbers in (Numbers(CPU, "fp32"), Numbers(CPU, "bf16"))
    ]
    assert values[1].dtype == torch.float32
    torch.testing.assert_close(values[0], values[1], rtol=0.01, atol=0.05)


def test_a_model_that_the_layout_does_not_fit_is_refused(tiny: Path):
    policy = load_policy(config_for(tiny), Numbers(CPU, "fp32"))
    check_layout(policy, TokenGroup("r7", (7, 8, 9), ((10, 2), (11, 12, 2))))

    def twice(_: torch.nn.Module, __: tuple[object, ...], out: CausalLMOutputWithPast) -> CausalLMOutputWithPast:
        """Logits that change after the head, where the packed path does not come by."""
        return CausalLMOutputWithPast(logits=2 * out.logits)

    apart = r"row 'r7': packed and plain log-probabilities differ by 0\.\d+ nats"
    with policy.causal.register_forward_hook(twice), pytest.raises(TrainingError, match=apart):
        check_layout(policy, TokenGroup("r7", (7, 8, 9), ((10, 2), (11, 12, 2))))
    with torch.no_grad():
        policy.causal.get_output_embeddings().weight[5] = float("nan")
    with pytest.raises(TrainingError, match=r"row 'r7': the model's log-probabilities of its replies are no numbers"):
        check_layout(policy, TokenGroup("r7", (7, 8, 9), ((10, 2), (11, 12, 2))))


def test_a_layer_that_looks_back_without_attention_is_refused_before_rows_are_packed_behind_one_another(tiny: Path):
    """As a short convolution does: of one reply alone the packed layout is the plain one."""
    policy = load_policy(config_for(tiny), Numbers(CPU, "fp32"))
    mlp = policy.causal.model.layers[0].mlp
    forward = mlp.forward

    def looking_back(hidden_1TH: torch.Tensor) -> torch.Tensor:
        before_1TH = torch.nn.functional.pad(hidden_1TH, (0, 0, 1, 0))[:, :-1]
        return forward(hidden_1TH) + before_1TH

    mlp.forward = looking_back
    with pytest.raises(TrainingError, match="this model's attention or head is not supported"):
        check_layout(policy, TokenGroup("r7", (7, 8, 9), ((11, 12, 2),)))


def test_batches_keep_order_and_budget():
    groups = [TokenGroup(str(n), (1,) * n, ((2,), (2,))) for n in (5, 4, 1, 20, 3)]
    batches = split_by_tokens(groups, 10)
    assert [[group.row_id for group in batch] for batch in batches] == [["5", "4", "1"], ["20"], ["3"]]
    assert split_by_tokens([], 10) == ()


def test_an_unknown_lora_target_names_the_known_ones(tiny: Path):
    with pytest.raises(TrainingError, match=r"called 'q_prj'; take of down_proj, gate_proj, k_proj"):
        load_policy(config_for(tiny, lora_targets=("q_prj",)), Numbers(CPU, "fp32"))


def test_a_folder_without_a_model_is_named(tmp_path: Path):
    with pytest.raises(TrainingError, match="no model can be loaded"):
        load_policy(config_for(tmp_path), Numbers(CPU, "fp32"))

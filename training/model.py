"""One frozen base with a LoRA adapter: the policy is the adapter switched on, the reference the adapter switched off.

Left out: models whose logits are scaled or capped after the head, and mixtures with several heads.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from training import attention
from training.adapters import read_adapter
from training.configs import TrainConfig
from training.errors import TrainingError
from training.kept_keys import KeptKeys
from training.last_layer import LastLayer
from training.loaded_base import Kind, loaded_base
from training.logps import sum_by_reply, token_logps
from training.lora import LoraLinear
from training.memory import memory_advice, smaller_model
from training.packing import PackedGroups, TokenGroup, pack_groups
from training.precision import Numbers
from training.quantising import is_quantised
from training.sharding import room_to_load, shard_base, shares_base
from training.trunk import Trunk, check_replay, decoder_layers, layer_lists

# Knobs of model configs that change the logits after the head: the chunked path would be wrong.
_AFTER_HEAD = ("final_logit_softcapping", "logits_scaling", "logit_scale")
# How far packed and plain log-probabilities (in nats a token) or scores may lie apart.
LAYOUT_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 0.25}


@dataclass(frozen=True, slots=True)
class Policy:
    """A base model with one trainable adapter. `numbers` says where and in which format it computes.

    `trunk` are the layers below the adapter. Where the base is `sharded`, all ranks must compute it equally often.
    """

    model: PeftModel
    numbers: Numbers
    trunk: Trunk = field(default_factory=Trunk)
    sharded: bool = False

    @property
    def causal(self) -> PreTrainedModel:
        """The transformers model inside peft's wrapper."""
        return self.model.get_base_model()

    def adapter_weights(self) -> dict[str, nn.Parameter]:
        """The trainable tensors by name, in a fixed order."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[None]:
        """The adapter switched off *is* the reference: no second copy of the base is loaded. No gradients."""
        with torch.no_grad(), self.model.disable_adapter():
            yield

    @contextlib.contextmanager
    def with_adapter(self, name: str) -> Iterator[None]:
        """Another adapter of the same base is switched on, and it alone may take gradients."""
        before = self.model.active_adapter
        self.model.set_adapter(name)
        try:
            yield
        finally:
            self.model.set_adapter(before)


def load_policy(config: TrainConfig, numbers: Numbers) -> Policy:
    """Load the frozen base and put a fresh adapter on it; `config.seed` decides the adapter's start."""
    with room_to_load(config):
        base = load_base(AutoModelForCausalLM, config, numbers)
        for name in _AFTER_HEAD:
            if getattr(base.config, name, None) not in (None, 1.0):
                raise TrainingError(f"{config.model}: {name} is not supported by the chunked head; take another model")
        return with_adapter(base, config, numbers, head=base.get_output_embeddings(), task="CAUSAL_LM")


def load_base(
    kind: Kind,
    config: TrainConfig,
    numbers: Numbers,
    **more: object,
) -> PreTrainedModel:
    """The frozen base from its folder, with the packed attention. Raises TrainingError."""
    more |= quantisation(config, numbers)
    with memory_advice(smaller_model):
        base = loaded_base(kind, config.model, dtype=numbers.dtype, attn_implementation=attention.NAME, **more)
    if config.gradient_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    if len(lists := layer_lists(base)) == 1:
        LastLayer(lists[0][1][-1])
    return base


def quantisation(config: TrainConfig, numbers: Numbers) -> dict[str, object]:
    """What transformers is told besides: NF4 weights with quantised constants; nothing where they stay as they are."""
    if not is_quantised(config):
        return {}
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=numbers.dtype,
        )
    }


def with_adapter(base: PreTrainedModel, config: TrainConfig, numbers: Numbers, *, head: nn.Module, task: str) -> Policy:
    """The base with a fresh adapter on its layers, none on `head`."""
    trunk = Trunk(layers_below_adapter(base, config))
    # eval: no dropout anywhere, so that policy and reference are one network. Checkpointing works in train mode only.
    sharded = shares_base(config)
    with memory_advice(smaller_model):
        # A base that is shared out goes to the device layer by layer: as a whole it may not fit there.
        base = base if sharded else base.to(numbers.device)
        model = add_adapter(base, config, head, task).train(config.gradient_checkpointing)
        if sharded:
            shard_base(model, base, numbers.device)
    return Policy(model, numbers, trunk, sharded)


def layers_below_adapter(base: PreTrainedModel, config: TrainConfig) -> Sequence[nn.Module]:
    """None of them where the adapter is on all layers."""
    first = first_adapted_layer(base, config)
    return tuple(decoder_layers(base)[1])[:first] if first else ()


def first_adapted_layer(base: PreTrainedModel, config: TrainConfig) -> int:
    if config.lora_layers_share == 1:
        return 0
    layers = int(base.config.num_hidden_layers)
    return layers - math.ceil(config.lora_layers_share * layers)


def add_adapter(base: PreTrainedModel, config: TrainConfig, head: nn.Module, task: str) -> PeftModel:
    """LoRA on the linear layers that `lora_targets` names (all but the head when it is empty), in fp32."""
    names = {name for name, layer in base.named_modules() if isinstance(layer, nn.Linear) and layer is not head}
    known = {name.rsplit(".", 1)[-1] for name in names}
    for target in config.lora_targets:
        if target not in known:
            raise TrainingError(
                f"lora_targets: no linear layer is called {target!r}; take of {', '.join(sorted(known))}"
            )
    where: dict[str, object] = {}
    if first := first_adapted_layer(base, config):
        where["layers_to_transform"] = list(range(first, base.config.num_hidden_layers))
        where["layers_pattern"] = decoder_layers(base)[0]
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=sorted(config.lora_targets or known),
        task_type=task,
        **where,
    )
    if not is_quantised(config):  # a layer in 4 bits is an nn.Linear too, and peft has its own for it
        lora._register_custom_module({nn.Linear: LoraLinear})
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = get_peft_model(base, lora)
    if config.start_adapter is not None:
        load_start(model, config.start_adapter)
    return model


def load_start(model: PeftModel, folder: Path) -> None:
    """Put an earlier adapter's weights in the place of the fresh ones. Raises TrainingError where they do not fit."""
    made, tensors = read_adapter(folder)
    own = model.peft_config["default"]
    if made.use_rslora or made.lora_alpha / made.r != own.lora_alpha / own.r:
        raise TrainingError(
            f"start_adapter: {folder} has lora_alpha {made.lora_alpha} at rank {made.r}"
            f"{' with rslora' if made.use_rslora else ''}, this run {own.lora_alpha} at {own.r}: it would start at "
            "another strength; name an adapter whose lora_alpha is twice its rank"
        )
    fresh = get_peft_model_state_dict(model)
    shapes, wanted = ({name: tuple(one.shape) for name, one in of.items()} for of in (tensors, fresh))
    if shapes != wanted:
        name = min(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
        raise TrainingError(
            f"start_adapter: {folder} has {shapes.get(name, 'nothing')} for {name}, this run "
            f"{wanted.get(name, 'nothing')}; take its base, lora_rank, lora_layers_share and lora_targets"
        )
    set_peft_model_state_dict(model, tensors)


def reply_logps(policy: Policy, packed: PackedGroups) -> Tensor:
    """log p(reply | prompt) of every reply, summed over its tokens; the adapter is on or off as it stands."""
    return sum_by_reply(reply_token_logps(policy, packed), packed.reply_N, len(packed.lengths_R))


def reply_token_logps(policy: Policy, packed: PackedGroups) -> Tensor:
    """log p of every reply token (N), given all that stands before it."""
    head_VH = policy.causal.get_output_embeddings().weight
    return token_logps(hidden_states(policy, packed), head_VH, packed.targets_N)


def hidden_states(policy: Policy, packed: PackedGroups, kept: KeptKeys | None = None) -> Tensor:
    """What leaves the last layer at the input tokens that are read, `packed.source_N`, N x H.

    The keys and values of all input tokens go to `kept`, where a sampler goes on from them.
    """
    out = policy.causal.base_model(
        input_ids=packed.tokens_T[None],
        position_ids=packed.positions_T[None],
        use_cache=False,
        packed=packed,
        kept=kept,
    )
    hidden_NH: Tensor = out.last_hidden_state[0].index_select(0, packed.source_N)
    return hidden_NH


def plain_reply_logps(policy: Policy, groups: Sequence[TokenGroup]) -> Tensor:
    """The same without layout tricks: one forward a reply, full logits. For the check below and for tests."""
    sums: list[Tensor] = []
    for group in groups:
        for reply in group.replies:
            ids_T = torch.tensor(group.prompt + reply, device=policy.numbers.device)
            logits_TV = policy.causal(input_ids=ids_T[None], use_cache=False).logits[0, len(group.prompt) - 1 : -1]
            logps_TV = logits_TV.log_softmax(-1, dtype=torch.promote_types(logits_TV.dtype, torch.float32))
            sums.append(logps_TV.gather(1, ids_T[len(group.prompt) :, None]).sum())
    return torch.stack(sums)


def check_layout(policy: Policy, group: TokenGroup) -> None:
    """Refuse a model that the packed layout does not fit, by computing one group both ways, with its reverse before it.

    A layer that looks back by other means than attention would take its neighbour's tokens for its own.
    """
    dtype = policy.numbers.dtype
    both = [TokenGroup(group.row_id, group.prompt[::-1], tuple(reply[::-1] for reply in group.replies)), group]
    with policy.as_reference():
        packed = pack_groups(both, dtype, policy.numbers.device)
        plain_R = plain_reply_logps(policy, both)
        refuse_no_numbers(plain_R, group, "log-probabilities")
        apart_R = (reply_logps(policy, packed) - plain_R).abs() / packed.lengths_R
    if not bool((apart_R <= LAYOUT_TOLERANCE[dtype]).all()):
        raise TrainingError(
            f"row {group.row_id!r}: packed and plain log-probabilities differ by {apart_R.max().item():.3g} nats a "
            "token; this model's attention or head is not supported: take another model"
        )
    check_replay(policy.trunk, lambda: reply_logps(policy, packed), LAYOUT_TOLERANCE[dtype])


def refuse_no_numbers(values_R: Tensor, group: TokenGroup, what: str) -> None:
    """Raise TrainingError where the model, computed as transformers does it, gives a row's replies no numbers."""
    if not bool(values_R.isfinite().all()):
        raise TrainingError(
            f"row {group.row_id!r}: the model's {what} of its replies are no numbers, in plain transformers too: its "
            "weights are broken, or too large for this precision; load the model anew, or take precision: fp32"
        )

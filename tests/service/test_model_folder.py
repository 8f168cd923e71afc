"""What a model's folder says of its layers, beside what transformers makes of such a model."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from service.model_folder import LINEAR_LAYERS

SMALL = {
    "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
    "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip


@pytest.mark.parametrize("model_type", LINEAR_LAYERS)
def test_each_kind_of_model_has_the_layers_that_are_listed(model_type: str):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SMALL))
    head = model.get_output_embeddings()
    layers = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer is not head}
    # In the order in which the trainer names them.
    assert sorted({name.rsplit(".", 1)[-1] for name in layers}) == list(LINEAR_LAYERS[model_type])

"""A frozen base that does not fit into one process: each rank holds its part of every decoder layer (FSDP).

Before a layer computes, forwards or backwards, the ranks give it to one another whole, and drop it after. So all must
pass through the model equally often (shares.py sees to that). Adapters, embeddings and head stay whole on every rank.
Left out: sharing an adapter's optimiser states, which are small.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from peft import PeftModel
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import PreTrainedModel

from training.configs import OfflineConfig, TrainConfig
from training.ranks import this_rank
from training.trunk import decoder_layers


def shares_base(config: TrainConfig) -> bool:
    """True where the base is shared out: one process alone holds all of it anyway."""
    return isinstance(config, OfflineConfig) and config.shard_base and this_rank().world > 1


def shard_base(model: PeftModel, base: PreTrainedModel, device: torch.device) -> None:
    """Leave this rank's part of the base's layers on the device, and all that is not in a layer."""
    mesh = init_device_mesh(device.type, (this_rank().world,))
    whole: set[nn.Parameter] = {weight for weight in model.parameters() if weight.requires_grad}
    layers = decoder_layers(base)[1]
    for layer in layers:
        fully_shard(layer, mesh=mesh, ignored_params=whole)
    # The decoder around them shares nothing of its own, but knows which layer comes next.
    decoder = base.base_model
    inside = {weight for layer in layers for weight in layer.parameters()}
    fully_shard(decoder, mesh=mesh, ignored_params=whole | (set(decoder.parameters()) - inside))
    model.to(device)


@contextlib.contextmanager
def room_to_load(config: TrainConfig) -> Iterator[None]:
    """Where the base is shared out, one process of a machine after another loads it: it is whole until it is shared."""
    if not shares_base(config):
        yield
        return
    ranks, own = this_rank(), int(os.environ.get("LOCAL_RANK", "0"))
    for turn in range(max(ranks.told(own)) + 1):
        if turn == own:
            yield
        ranks.wait()

"""When a base can be held in 4 bits (QLoRA, arXiv:2305.14314). No torch: a run is refused before it spends anything.

The adapter stays in fp32, and what computes is in the run's own format. Left out: 8 bits, and paged optimisers (an
adapter's states are small).
"""

import importlib.util

from training.configs import OfflineConfig, TrainConfig
from training.errors import ConfigError


def is_quantised(config: TrainConfig) -> bool:
    """True where the base is loaded in 4 bits."""
    return isinstance(config, OfflineConfig) and config.quantise == "nf4"


def refuse_quantising(config: TrainConfig, *, on_gpu: bool) -> None:
    """Raise ConfigError where 4 bits are asked for and cannot be had."""
    if not is_quantised(config):
        return
    if not on_gpu:
        raise ConfigError(
            "quantise: nf4 needs a CUDA GPU, and this run computes on the CPU; leave it none here, and take "
            "precision: bf16 or shard_base where memory is short"
        )
    if isinstance(config, OfflineConfig) and config.shard_base:
        raise ConfigError(
            "quantise: nf4 and shard_base exclude each other: 4 bits are not shared out; take one of them"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError("quantise: nf4 needs bitsandbytes, which is not installed; pip install 'charter[qlora]'")

"""A base in 4 bits (QLoRA, arXiv:2305.14314): NF4 weights with quantised constants, through bitsandbytes, on CUDA.

The adapter stays in fp32, and what computes is in the run's own format. Left out: 8 bits, and paged optimisers (an
adapter's states are small).
"""

import importlib.util

from transformers import BitsAndBytesConfig

from training.configs import OfflineConfig, TrainConfig
from training.errors import ConfigError
from training.precision import Numbers


def is_quantised(config: TrainConfig) -> bool:
    """True where the base is loaded in 4 bits."""
    return isinstance(config, OfflineConfig) and config.quantise == "nf4"


def refuse_quantising(config: TrainConfig, numbers: Numbers) -> None:
    """Raise ConfigError where 4 bits are asked for and cannot be had."""
    if not is_quantised(config):
        return
    if numbers.device.type != "cuda":
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


def quantisation(config: TrainConfig, numbers: Numbers) -> dict[str, object]:
    """What transformers is told besides when it loads the base; nothing where it stays as it is."""
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

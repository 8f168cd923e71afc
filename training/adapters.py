"""An adapter's folder, as peft saves it, on a base that is loaded. Left out: adapters that train (model.py)."""

import hashlib
from pathlib import Path

from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from training.damaged_files import file_advice, first_line
from training.errors import TrainingError
from training.weights import file_sha256

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_REMEDY = "name a folder as peft saves an adapter, or train it again"


def with_saved_adapter(base: PreTrainedModel | PeftModel, folder: Path, name: str = "default") -> PeftModel:
    """The base with the folder's adapter on it, beside those that it has. Raises TrainingError."""
    read_adapter(folder)
    try:
        if isinstance(base, PeftModel):
            base.load_adapter(folder, adapter_name=name)
            return base
        return PeftModel.from_pretrained(base, folder, adapter_name=name)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError) and "size mismatch" not in str(error):
            raise
        raise TrainingError(
            f"{folder}: does not fit this base ({first_line(error)}); name the base that it was trained on"
        ) from error


def adapter_sha256(folder: Path) -> str:
    """Of its weights and its config. Raises TrainingError where one is not there."""
    refuse_no_adapter(folder)
    return hashlib.sha256("".join(file_sha256(folder / name) for name in (CONFIG, WEIGHTS)).encode()).hexdigest()


def refuse_no_adapter(folder: Path) -> None:
    """Raise TrainingError unless config and weights are there."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise TrainingError(f"{folder}: no {name}; {_REMEDY}")


def read_adapter(folder: Path) -> tuple[LoraConfig, dict[str, Tensor]]:
    """Its config and its weights. Raises TrainingError where they are no adapter's, or damaged."""
    refuse_no_adapter(folder)
    with file_advice(folder / CONFIG, _REMEDY):
        config = LoraConfig.from_pretrained(folder)
    with file_advice(folder / WEIGHTS, _REMEDY):
        return config, load_file(folder / WEIGHTS)

"""What a model's folder says of itself before anything loads it. Left out: its weights' hash (training/weights.py)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, ValidationError

from service.errors import InvalidInput

_CONTEXT_TOKENS = 4096  # where the model does not say
_LLAMA_LAYERS = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")
_LIKE_LLAMA = ("gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo2", "qwen2", "qwen3", "smollm3")
# By the `model_type` of config.json. Of other models only the trainer, which loads them, knows.
LINEAR_LAYERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_LIKE_LLAMA, _LLAMA_LAYERS),
    "phi3": ("down_proj", "gate_up_proj", "o_proj", "qkv_proj"),
}


class _Config(BaseModel):
    """What is read of config.json."""

    auto_map: JsonValue = None
    model_type: str | None = None
    max_position_embeddings: Annotated[int, Field(ge=1, lt=2**31)] | None = None


def declared_context(folder: Path) -> int:
    """How many tokens the model was made for. Raises InvalidInput where it is no model that can be loaded safely."""
    declared = _declared(folder)
    if declared.auto_map is not None:
        raise InvalidInput(
            f"{folder / 'config.json'}: it wants to run its own code (auto_map), which is never done; take another "
            "model"
        )
    return declared.max_position_embeddings or _CONTEXT_TOKENS


def refuse_unknown_targets(targets: Sequence[str], folder: Path) -> None:
    """Raise InvalidInput for a name that none of the model's linear layers has, where they are known by its type."""
    known = LINEAR_LAYERS.get(_declared(folder).model_type or "", ()) if targets else ()
    for target in targets:
        if known and target not in known:
            raise InvalidInput(
                f"training.lora_targets: no linear layer is called {target!r}; take of {', '.join(known)}"
            )


def _declared(folder: Path) -> _Config:
    config = folder / "config.json"
    if not config.is_file():
        raise InvalidInput(f"{folder}: no config.json in it; name a model's folder, as transformers saves it")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInput(f"{folder}: no *.safetensors in it; other weight files are not loaded")
    try:
        return _Config.model_validate_json(config.read_bytes())
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise InvalidInput(f"{config}: not a model's config ({said}); fetch the model again") from error

"""What a model's folder says of itself before anything loads it. Left out: its weights' hash (training/weights.py)."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, ValidationError

from service.errors import InvalidInput

_CONTEXT_TOKENS = 4096  # where the model does not say


class _Config(BaseModel):
    """What is read of config.json."""

    auto_map: JsonValue = None
    max_position_embeddings: Annotated[int, Field(ge=1, lt=2**31)] | None = None


def declared_context(folder: Path) -> int:
    """How many tokens the model was made for. Raises InvalidInput where it is no model that can be loaded safely."""
    config = folder / "config.json"
    if not config.is_file():
        raise InvalidInput(f"{folder}: no config.json in it; name a model's folder, as transformers saves it")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInput(f"{folder}: no *.safetensors in it; other weight files are not loaded")
    try:
        declared = _Config.model_validate_json(config.read_bytes())
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise InvalidInput(f"{config}: not a model's config ({said}); fetch the model again") from error
    if declared.auto_map is not None:
        raise InvalidInput(
            f"{config}: it wants to run its own code (auto_map), which is never done; take another model"
        )
    return declared.max_position_embeddings or _CONTEXT_TOKENS

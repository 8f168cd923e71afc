"""The identity of a model folder: one hash over everything that changes what the model says. Standard library."""

import hashlib
from pathlib import Path

from training.errors import TrainingError

# A README or a cache beside the weights does not change the model; these do.
_COUNTS = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".gguf")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_sha256(folder: Path) -> str:
    """SHA-256 over the sorted lines `<file's sha256>  <name>` of config, weights and tokenizer files.

    `sha256sum` of those files, sorted by name and hashed once more, gives the same, so that anyone can check it.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such model folder; name one that holds config.json and *.safetensors")
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix in _COUNTS)
    if "config.json" not in names:
        raise TrainingError(f"{folder}: no config.json; name a model folder as transformers saves it")
    lines = "".join(f"{file_sha256(folder / name)}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()

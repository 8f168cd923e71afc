"""Files that are read again: one that is cut short, damaged or gone ends in an error that names it and what to do.

Standard library, but for the error that safetensors raises. What the system refuses (rights, a full disk) stays its
own error.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from training.errors import TrainingError

# What reading raises where bytes are lost: JSON, UTF-8 (both ValueErrors), a key that is gone, another type of value.
_DAMAGE = (SafetensorError, ValueError, LookupError, TypeError)


@contextlib.contextmanager
def file_advice(path: Path, remedy: str) -> Iterator[None]:
    """Around the reading of one file: turn what its damage raises into a TrainingError that ends in the remedy."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainingError(f"{path}: is not there; {remedy}") from error
    except _DAMAGE as error:
        raise TrainingError(f"{path}: cut short or damaged ({first_line(error)}); {remedy}") from error


@contextlib.contextmanager
def load_advice(folder: Path, what: str) -> Iterator[None]:
    """Around transformers' loading of a model folder. `what` is what it holds: a model, a tokenizer."""
    try:
        yield
    except (OSError, *_DAMAGE) as error:
        raise TrainingError(
            f"{folder}: no {what} can be loaded ({first_line(error)}); name a model folder as transformers saves it"
        ) from error


def read_object(path: Path, remedy: str) -> dict[str, object]:
    """A JSON object. Raises TrainingError."""
    with file_advice(path, remedy):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise TypeError(f"a {type(value).__name__} instead of an object")
        return {str(key): item for key, item in value.items()}


def first_line(error: Exception) -> str:
    """What a library's error says, without its paragraphs of advice."""
    told = f"no {error}" if isinstance(error, KeyError) else str(error)
    return (told.splitlines() or ["no reason given"])[0]

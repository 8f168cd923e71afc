"""Out of memory: one error that says what to change, whichever device it was."""

import contextlib
from collections.abc import Iterator

import torch

from training.errors import TrainingError

_SMALLER_BATCHES = "lower tokens_per_batch or set gradient_checkpointing"


@contextlib.contextmanager
def memory_advice(remedy: str = _SMALLER_BATCHES) -> Iterator[None]:
    """Turn an out-of-memory error into a TrainingError that ends in the remedy."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"the GPU is out of memory; {remedy}") from error
    except MemoryError as error:
        raise TrainingError(f"out of memory; {remedy}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise TrainingError(f"out of memory; {remedy}") from error

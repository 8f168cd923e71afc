"""Out of memory: one error that says what to change, whichever device it was; and rows that no memory here can hold."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

import torch

from training.errors import OutOfMemory, TrainingError
from training.packing import TokenGroup
from training.precision import Numbers

_GB = 10**9


def smaller_batches() -> str:
    """What helps where a batch of several rows was too much."""
    return "lower tokens_per_batch, or max_tokens where one row is longer than that, or set gradient_checkpointing"


def larger_machine() -> str:
    """What helps a command that has no batches."""
    return "take a machine with more memory, or a smaller model"


def smaller_model() -> str:
    """What helps where there is no batch yet."""
    return "the model alone does not fit: take a smaller one, a machine with more memory, or precision: bf16"


@contextlib.contextmanager
def memory_advice(remedy: Callable[[], str] = smaller_batches) -> Iterator[None]:
    """Turn an out-of-memory error of any kind into an OutOfMemory that ends in the remedy."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"the GPU is out of memory; {remedy()}") from error
    except MemoryError as error:
        raise OutOfMemory(f"out of memory; {remedy()}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise OutOfMemory(f"out of memory; {remedy()}") from error


def refuse_no_room(
    groups: Iterable[TokenGroup], numbers: Numbers, remedy: str = "lower max_tokens, so that it is left out"
) -> None:
    """Raise TrainingError for a row so long that the table of which token sees which does not fit into the memory.

    The table is a square: Linux would hand out the memory for it, and kill the process where it is used.
    """
    largest = max(groups, key=lambda group: group.tokens)
    needed_bytes = largest.tokens**2 * (numbers.dtype.itemsize + 1)
    if needed_bytes > (has_bytes := memory_bytes(numbers.device)):
        raise TrainingError(
            f"row {largest.row_id!r}: its {largest.tokens} tokens need {needed_bytes / _GB:.0f} GB of memory for the "
            f"attention's mask alone, and there are {has_bytes / _GB:.0f}; {remedy}"
        )


def memory_bytes(device: torch.device) -> int:
    """All of the device's own."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

"""Checkpoints: complete or absent, safetensors and JSON, no pickle. The newest is kept, and those that are named.

A checkpoint holds the adapter's weights, AdamW's state, the step, and what the trainer asks to keep (the reference's
log-probabilities). There is no random state in it: a run draws nothing after its start, and the order of the rows
follows from the seed and the epoch.
"""

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.damaged_files import file_advice, read_object
from training.publish import published_folder

_KEPT = "kept."
_WEIGHTS, _STATE = "state.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after `step` steps. `seconds` is the time spent so far, `kept` the trainer's own tensors."""

    step: int
    seconds: float
    kept: dict[str, Tensor]


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    weights: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    keep: Collection[int] = (),
) -> Path:
    """Publish `folder/step-NNNNNNNN`, then remove the older ones but those of the steps in `keep`."""
    tensors = {f"weight.{name}": weight.detach().cpu().contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        for key, value in optimizer.state[weight].items():
            tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
    tensors |= {f"{_KEPT}{name}": tensor.detach().cpu().contiguous() for name, tensor in checkpoint.kept.items()}
    target = checkpoint_folder(folder, checkpoint.step)
    with published_folder(target) as temporary:
        save_file(tensors, temporary / _WEIGHTS)
        (temporary / _STATE).write_text(json.dumps({"step": checkpoint.step, "seconds": checkpoint.seconds}))
    kept = {target, *(checkpoint_folder(folder, step) for step in keep)}
    for older in checkpoint_folders(folder):
        if older not in kept:
            shutil.rmtree(older)
    return target


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is, if it was kept."""
    return folder / f"step-{step:08d}"


def checkpoint_folders(folder: Path) -> tuple[Path, ...]:
    """All complete checkpoints, oldest first. Folders that a kill left half-written have another name."""
    return tuple(sorted(path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal()))


def checkpoint_steps(folder: Path) -> tuple[int, ...]:
    """The steps of the complete checkpoints, oldest first."""
    return tuple(int(path.name.removeprefix("step-")) for path in checkpoint_folders(folder))


def load_weights(folder: Path, step: int, weights: dict[str, nn.Parameter]) -> None:
    """Put the adapter of a checkpoint that was kept into `weights`."""
    checkpoint = checkpoint_folder(folder, step)
    with torch.no_grad(), file_advice(checkpoint / _WEIGHTS, _remedy(checkpoint)):
        tensors = load_file(checkpoint / _WEIGHTS)
        for name, weight in weights.items():
            weight.copy_(tensors[f"weight.{name}"])


def load_newest_checkpoint(
    folder: Path, weights: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> Checkpoint | None:
    """Put the newest checkpoint's tensors into the adapter and the optimiser; None where there is no checkpoint.

    Raises TrainingError where it is damaged.
    """
    complete = checkpoint_folders(folder)
    if not complete:
        return None
    newest, remedy = complete[-1], _remedy(complete[-1])
    with torch.no_grad(), file_advice(newest / _WEIGHTS, remedy):
        tensors = load_file(newest / _WEIGHTS)
        for name, weight in weights.items():
            weight.copy_(tensors[f"weight.{name}"])
            # `step` stays on the CPU, as AdamW keeps it; the moments go where the weight is.
            optimizer.state[weight] = {
                "step": tensors[f"optimizer.step.{name}"],
                "exp_avg": tensors[f"optimizer.exp_avg.{name}"].to(weight.device),
                "exp_avg_sq": tensors[f"optimizer.exp_avg_sq.{name}"].to(weight.device),
            }
    kept = {name.removeprefix(_KEPT): tensor for name, tensor in tensors.items() if name.startswith(_KEPT)}
    with file_advice(newest / _STATE, remedy):
        state = read_object(newest / _STATE, remedy)
        return Checkpoint(int(str(state["step"])), float(str(state["seconds"])), kept)


def _remedy(checkpoint: Path) -> str:
    return f"remove {checkpoint}, and the run goes on without it: from an older checkpoint, or from its start"

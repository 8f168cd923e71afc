"""Checkpoints: complete or absent, safetensors and JSON, no pickle. Only the newest is kept.

A checkpoint holds the adapter's weights, AdamW's state, the step, and what the trainer asks to keep (the reference's
log-probabilities). There is no random state in it: a run draws nothing after its start, and the order of the rows
follows from the seed and the epoch.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.publish import published_folder

_KEPT = "kept."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after `step` steps. `seconds` is the time spent so far, `kept` the trainer's own tensors."""

    step: int
    seconds: float
    kept: dict[str, Tensor]


def save_checkpoint(
    folder: Path, checkpoint: Checkpoint, weights: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> Path:
    """Publish `folder/step-NNNNNNNN`, then remove the older ones."""
    tensors = {f"weight.{name}": weight.detach().cpu().contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        for key, value in optimizer.state[weight].items():
            tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
    tensors |= {f"{_KEPT}{name}": tensor.detach().cpu().contiguous() for name, tensor in checkpoint.kept.items()}
    target = folder / f"step-{checkpoint.step:08d}"
    with published_folder(target) as temporary:
        save_file(tensors, temporary / "state.safetensors")
        (temporary / "state.json").write_text(json.dumps({"step": checkpoint.step, "seconds": checkpoint.seconds}))
    for older in checkpoint_folders(folder):
        if older != target:
            shutil.rmtree(older)
    return target


def checkpoint_folders(folder: Path) -> tuple[Path, ...]:
    """All complete checkpoints, oldest first. Folders that a kill left half-written have another name."""
    return tuple(sorted(folder.glob("step-*")))


def load_newest_checkpoint(
    folder: Path, weights: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> Checkpoint | None:
    """Put the newest checkpoint's tensors into the adapter and the optimiser; None where there is no checkpoint."""
    complete = checkpoint_folders(folder)
    if not complete:
        return None
    tensors = load_file(complete[-1] / "state.safetensors")
    state = json.loads((complete[-1] / "state.json").read_text())
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(tensors[f"weight.{name}"])
            # `step` stays on the CPU, as AdamW keeps it; the moments go where the weight is.
            optimizer.state[weight] = {
                "step": tensors[f"optimizer.step.{name}"],
                "exp_avg": tensors[f"optimizer.exp_avg.{name}"].to(weight.device),
                "exp_avg_sq": tensors[f"optimizer.exp_avg_sq.{name}"].to(weight.device),
            }
    kept = {name.removeprefix(_KEPT): tensor for name, tensor in tensors.items() if name.startswith(_KEPT)}
    return Checkpoint(state["step"], state["seconds"], kept)

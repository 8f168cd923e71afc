"""The end of a run: the adapter in peft's format, without anything of this machine in it, and the result.

A run that loses a number, or has no memory left, has no result, but the adapter of its last checkpoint.
"""

import contextlib
import json
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType

from torch import nn

from training.checkpoints import checkpoint_steps, load_weights
from training.configs import TrainConfig
from training.errors import LostNumber, OutOfMemory, TrainingError
from training.largest_group import smaller_groups
from training.loop import Outcome
from training.memory import memory_advice
from training.metrics import print_kept
from training.model import Policy
from training.publish import published_folder
from training.ranks import this_rank
from training.run_folder import RunFolder
from training.tokenising import DroppedRow, drop_counts
from training.weights import file_sha256


def save_adapter(policy: Policy, folder: Path, model_name: str) -> str:
    """Write `folder` for plain peft; returns the SHA-256 of its weights. `model_name` goes in instead of a path."""
    with published_folder(folder) as temporary:
        policy.model.save_pretrained(temporary, selected_adapters=["default"])  # not the value model's
        (temporary / "README.md").unlink(missing_ok=True)  # peft's empty card; the bundle has its own
        path = temporary / "adapter_config.json"
        config = json.loads(path.read_text())
        config["base_model_name_or_path"] = model_name
        config["target_modules"] = sorted(config["target_modules"])  # a set: its order changes from run to run
        config["inference_mode"] = True
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return file_sha256(folder / "adapter_model.safetensors")


@contextlib.contextmanager
def last_good_kept(
    config: TrainConfig, folder: RunFolder, policy: Policy, weights: dict[str, nn.Parameter]
) -> Iterator[None]:
    """Where a number is lost or memory runs out, save the last checkpoint's adapter (`weights`) too.

    The error says how to use it, a line on stdout where it is. The rank that failed does so.
    """
    try:
        with memory_advice(partial(smaller_groups, config)):
            yield
    except (LostNumber, OutOfMemory) as error:
        kind = OutOfMemory if isinstance(error, OutOfMemory) else LostNumber
        steps = checkpoint_steps(folder.checkpoints)
        if not steps:
            raise kind(f"{error} (no checkpoint was written before)") from error
        load_weights(folder.checkpoints, steps[-1], weights)
        place = folder.path / f"adapter-step-{steps[-1]:08d}"
        save_adapter(policy, place, config.model.resolve().name)
        print_kept(steps[-1], place, str(error))
        raise kind(f"{error}; the adapter of step {steps[-1]} is kept: {_way_on(error, place)}") from error


def _way_on(error: TrainingError, place: Path) -> str:
    """Lost once, a number is lost again in the same folder, where other knobs than those of memory are refused."""
    anew = f"set start_adapter: {place} and another output"
    if isinstance(error, OutOfMemory):
        return f"the same output goes on there with another tokens_per_batch or gradient_checkpointing; or {anew}"
    return f"to go on from it, {anew}"


def finish_run(
    folder: RunFolder,
    policy: Policy,
    outcome: Outcome,
    model_name: str,
    *,
    rows: int,
    dropped: Sequence[DroppedRow],
    more: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, object]:
    """Save the adapter, then the result: its presence says that the run is over. `rows` were trained on.

    Of several ranks the first does it; the others get the same.
    """

    def finished() -> dict[str, object]:
        result: dict[str, object] = {
            "steps": outcome.steps,
            "adapter_step": outcome.adapter_step,
            "stopped": asdict(outcome.stopped) if outcome.stopped else None,
            "seconds": outcome.seconds,
            "rows": rows,
            "dropped": drop_counts(dropped),
            "dropped_rows": [{"id": row.row_id, "reason": row.reason, "tokens": row.tokens} for row in dropped],
            "last_step": dict(outcome.metrics),
            "precision": policy.numbers.precision,
            "device": policy.numbers.device.type,
            "adapter": str(folder.adapter),
            "adapter_sha256": save_adapter(policy, folder.adapter, model_name),
            "peak_memory_bytes": peak_memory_bytes(),
            **more,
        }
        folder.write_result(result)
        return result

    return this_rank().from_first(finished)


def peak_memory_bytes() -> int:
    """The process's largest resident set so far. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""`metrics.jsonl`, one line a step, and lines on stdout for whoever started the trainer. Standard library."""

import json
from collections.abc import Mapping
from pathlib import Path

from training.publish import published_file


def append_metrics(path: Path, values: Mapping[str, float]) -> None:
    """Add one line and hand it to the system at once."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def keep_metrics_until(path: Path, step: int) -> tuple[Mapping[str, float], ...]:
    """Drop the lines of steps that will be done again: a resumed run's file has every step exactly once.

    Returns what the other steps were.
    """
    if not path.exists():
        return ()
    kept, values = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
            counts = value["step"] <= step
        except (ValueError, LookupError, TypeError):
            break  # a kill left half a line, and it is the last one
        if counts:
            kept.append(line)
            values.append(value)
    with published_file(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    return tuple(values)


def print_progress(done: int, total: int, values: Mapping[str, float]) -> None:
    """One JSON line: {"type": "progress", "done": steps done, "total": steps in all, ...the step's metrics}."""
    print(json.dumps({"type": "progress", "done": done, "total": total, **values}), flush=True)


def print_kept(step: int, adapter: Path, cause: str) -> None:
    """One JSON line: {"type": "kept", "step": the last good one, "adapter": its folder, "cause": the error}."""
    print(json.dumps({"type": "kept", "step": step, "adapter": str(adapter), "cause": cause}), flush=True)

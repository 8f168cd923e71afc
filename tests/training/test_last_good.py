"""Memory that runs out: the adapter of the last checkpoint is kept, and the same output goes on with less memory."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from training.__main__ import main
from training.rows import row_to_json

from .test_rows import make_row


class MemoryRunsOut(io.StringIO):
    """The stdout of a trainer to which the machine gives no more memory, once, as it tells of this step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step, self._happened = step, False

    def write(self, text: str) -> int:
        if f'"done": {self._step},' in text and not self._happened:
            self._happened = True
            raise MemoryError
        return super().write(text)


@pytest.fixture
def config(tmp_path: Path, tiny: Path) -> Path:
    """Four steps of sft, a checkpoint after each."""
    (tmp_path / "rows.jsonl").write_text("".join(row_to_json(make_row(f"r{n}")) + "\n" for n in range(4)))
    knobs = {"model": str(tiny), "rows": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "out")}
    knobs |= {"lora_rank": 2, "replies_per_step": 1, "checkpoint_every_steps": 1, "precision": "fp32"}
    (tmp_path / "config.yaml").write_text(json.dumps(knobs))
    return tmp_path / "config.yaml"


def test_where_memory_runs_out_the_adapter_is_kept_and_the_output_goes_on_with_less(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = MemoryRunsOut(3)
    with contextlib.redirect_stdout(out):
        assert main(["sft", str(config)]) == 4
    place = config.parent / "out" / "adapter-step-00000003"
    cause = (
        "out of memory; lower tokens_per_batch, or max_tokens where one row is longer than that, or set "
        "gradient_checkpointing"
    )
    kept = json.loads(out.getvalue().splitlines()[-1])
    assert kept == {"type": "kept", "step": 3, "adapter": str(place), "cause": cause}
    assert (place / "adapter_model.safetensors").is_file()
    assert capsys.readouterr().err.endswith(
        f"error: {cause}; the adapter of step 3 is kept: the same output goes on there with another tokens_per_batch "
        f"or gradient_checkpointing; or set start_adapter: {place} and another output\n"
    )
    assert main(["sft", str(config), "--set", "tokens_per_batch=64", "--set", "gradient_checkpointing=true"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["done"] for line in told if line["type"] == "progress"] == [3, 4]


def test_before_any_checkpoint_there_is_nothing_to_keep(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = MemoryRunsOut(0)
    with contextlib.redirect_stdout(out):
        assert main(["sft", str(config)]) == 4
    assert '"kept"' not in out.getvalue()
    assert capsys.readouterr().err.endswith("gradient_checkpointing (no checkpoint was written before)\n")

"""Training that goes on from an earlier adapter: its weights, the base as reference, and misfits that are told."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.configs import DpoConfig, config_from
from training.dpo import train_dpo
from training.errors import ConfigError, TrainingError
from training.rows import write_rows
from training.weights import file_sha256

from .test_reward import pairs


def config(folder: Path, tiny: Path, **changes: object) -> DpoConfig:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "rows.jsonl", pairs(4))
    values = {
        "model": str(tiny), "rows": str(folder / "rows.jsonl"), "output": str(folder / "out"), "lora_rank": 2,
        "learning_rate": 0.01, "precision": "fp32", "pairs_per_step": 6, "warmup_share": 0.0,
    }  # fmt: skip
    return config_from(values | changes, DpoConfig, "test")


def metrics(of: DpoConfig) -> list[dict[str, float]]:
    return [json.loads(line) for line in (of.output / "metrics.jsonl").read_text().splitlines()]


def test_the_weights_go_on_and_the_reference_stays_the_base(tmp_path: Path, tiny: Path):
    first = config(tmp_path / "first", tiny, epochs=4)
    train_dpo(first)
    start = first.output / "adapter"
    still = config(tmp_path / "still", tiny, start_adapter=str(start), learning_rate=1e-12)
    train_dpo(still)
    before, after = (load_file(of.output / "adapter" / "adapter_model.safetensors") for of in (first, still))
    assert before.keys() == after.keys() and all(
        torch.allclose(before[name], after[name], rtol=0.0, atol=1e-9) for name in before
    )
    # A fresh adapter has margin 0 on its first step; this one has what the first run came to.
    assert metrics(first)[0]["margin"] == 0.0
    assert metrics(still)[0]["margin"] > 0.5 * metrics(first)[-1]["margin"] > 0.0
    held = json.loads((still.output / "config.json").read_text())
    assert held["start_adapter_sha256"] == file_sha256(start / "adapter_model.safetensors")
    with pytest.raises(ConfigError, match="began with start_adapter_sha256"):
        train_dpo(config(tmp_path / "still", tiny, learning_rate=1e-12))


def test_an_adapter_of_another_shape_is_told(tmp_path: Path, tiny: Path):
    first = config(tmp_path / "first", tiny)
    train_dpo(first)
    start = {"start_adapter": str(first.output / "adapter")}
    with pytest.raises(
        TrainingError, match=r"has \(2, 128\) for .*down_proj.lora_A.*, this run \(4, 128\); take its base, lora_rank"
    ):
        train_dpo(config(tmp_path / "wide", tiny, lora_rank=4, **start))
    held = json.loads((first.output / "adapter" / "adapter_config.json").read_text())
    weaker = tmp_path / "weaker"
    shutil.copytree(first.output / "adapter", weaker)
    (weaker / "adapter_config.json").write_text(json.dumps({**held, "lora_alpha": held["r"]}))
    with pytest.raises(TrainingError, match=r"has lora_alpha 2 at rank 2, this run 4 at 2: .*another strength"):
        train_dpo(config(tmp_path / "weak", tiny, start_adapter=str(weaker)))
    with pytest.raises(TrainingError, match="this run nothing"):
        train_dpo(config(tmp_path / "few", tiny, lora_targets=["q_proj"], **start))
    with pytest.raises(ConfigError, match=r"start_adapter: .* is no file; name a folder as peft saves an adapter"):
        train_dpo(config(tmp_path / "none", tiny, start_adapter=str(tmp_path)))

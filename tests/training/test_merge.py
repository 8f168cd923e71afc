"""A merge is done once: the same again keeps what is there, and anything else in its place is refused."""

import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from training.errors import TrainingError
from training.merge import merge_adapter
from training.weights import file_sha256, model_sha256


def adapter(folder: Path, tiny: Path, seed: int) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        lora = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), lora).save_pretrained(folder)
    return folder


def test_only_the_same_merge_is_kept(tmp_path: Path, tiny: Path):
    first, second = (adapter(tmp_path / str(seed), tiny, seed) for seed in (1, 2))
    merged = merge_adapter(tiny, first, tmp_path / "merged")
    made = (merged / "model.safetensors").stat().st_mtime_ns
    assert merge_adapter(tiny, first, merged) == merged
    assert (merged / "model.safetensors").stat().st_mtime_ns == made
    with pytest.raises(TrainingError, match="merged: is there already, and is not this base with this adapter; remove"):
        merge_adapter(tiny, second, merged)
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    (other / "generation_config.json").write_text('{"do_sample": true}')
    with pytest.raises(TrainingError, match="is not this base with this adapter"):
        merge_adapter(other, first, merged)
    with pytest.raises(TrainingError, match=r"no adapter_config\.json"):
        merge_adapter(tiny, tmp_path / "none", merged)
    again = merge_adapter(tiny, second, tmp_path / "second")
    assert file_sha256(again / "model.safetensors") != file_sha256(merged / "model.safetensors")


def test_a_folder_that_is_no_merge_is_refused_and_left_alone(tmp_path: Path, tiny: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="empty: is there already"):
        merge_adapter(tiny, adapter(tmp_path / "a", tiny, 1), tmp_path / "empty")
    before = model_sha256(tiny)
    with pytest.raises(TrainingError, match="tiny: is there already"):
        merge_adapter(tiny, tmp_path / "a", tiny)
    assert model_sha256(tiny) == before and list((tmp_path / "empty").iterdir()) == []

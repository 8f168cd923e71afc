"""A base is loaded without a word where only a task's head differs; weights that are nowhere are an error."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from training.errors import TrainingError
from training.loaded_base import loaded_base


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What transformers warns of while it loads; its logger hands nothing on to pytest's."""
    messages: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger("transformers.modeling_utils"), Kept()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def changed(tiny: Path, folder: Path, more: dict[str, torch.Tensor], less: str = "") -> Path:
    """The model with other weights in its file."""
    shutil.copytree(tiny, folder)
    weights = load_file(tiny / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if name != less}
    save_file(kept | more, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_head_that_the_task_adds_or_leaves_is_nothing_to_tell(tmp_path: Path, tiny: Path, said: list[str]):
    headed = changed(tiny, tmp_path / "headed", {"lm_head.weight": torch.zeros(1, 1)})
    for folder in (tiny, headed):
        model = loaded_base(AutoModelForSequenceClassification, folder, num_labels=1)
        assert model.score.weight.shape[0] == 1
    loaded_base(AutoModelForCausalLM, tiny)
    assert said == []


def test_weights_that_no_layer_has_are_told(tmp_path: Path, tiny: Path, said: list[str]):
    folder = changed(tiny, tmp_path / "more", {"model.layers.9.odd.weight": torch.zeros(2, 2)})
    loaded_base(AutoModelForCausalLM, folder)
    assert len(said) == 1 and "model.layers.9.odd.weight" in said[0]


def test_weights_that_are_in_no_file_are_an_error(tmp_path: Path, tiny: Path, said: list[str]):
    folder = changed(tiny, tmp_path / "less", {}, less="model.norm.weight")
    with pytest.raises(TrainingError, match=r"less: 1 weights of the model are in none of its files, model.norm.weig"):
        loaded_base(AutoModelForCausalLM, folder)
    assert len(said) == 1 and "MISSING" in said[0]

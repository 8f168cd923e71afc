"""The downloaded bundle is verified against its base, unpacked, and answers under plain peft in a child."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from judges.records import Message
from service.demo.errors import DemoError
from service.demo.replies import answer_before_and_after, unpack_bundle
from tests.training.test_bundle import make_inputs
from training.bundle import write_bundle
from training.manifest import ModelIdentity
from training.tiny import build_tiny_model
from training.weights import model_sha256


def a_loud_adapter(model: Path, folder: Path) -> Path:
    """A random adapter that is strong enough to change what is said."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    return folder


def a_bundle(model: Path, folder: Path) -> Path:
    inputs = make_inputs(folder / "inputs")
    identity = ModelIdentity("tiny", model_sha256(model), "Apache-2.0")
    adapter = a_loud_adapter(model, folder / "adapter")
    write_bundle(
        replace(inputs, adapter=adapter, manifest=replace(inputs.manifest, base_model=identity)),
        folder / "bundle.tar.gz",
    )
    return folder / "bundle.tar.gz"


def test_the_adapter_from_the_bundle_answers_otherwise_than_its_base(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    manifest = unpack_bundle(a_bundle(model, tmp_path), model, tmp_path / "out")
    assert manifest.base_model.name == "tiny"
    prompts = [(Message("user", "Hi"),), (Message("system", "Be brief."), Message("user", "How long is a day?"))]
    replies = answer_before_and_after(prompts, model=model, adapter=tmp_path / "out" / "adapter", seed=3)
    assert [reply.messages for reply in replies] == prompts
    assert all(reply.before != reply.after for reply in replies)


def test_another_base_than_the_manifests_is_refused(tmp_path):
    bundle = a_bundle(build_tiny_model(tmp_path / "model"), tmp_path)
    other = build_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(DemoError, match="load it on the model that the manifest names"):
        unpack_bundle(bundle, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_does_not_load_is_explained(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    (tmp_path / "adapter").mkdir()
    with pytest.raises(DemoError, match="could not be tried with plain peft"):
        answer_before_and_after([(Message("user", "Hi"),)], model=model, adapter=tmp_path / "adapter", seed=0)

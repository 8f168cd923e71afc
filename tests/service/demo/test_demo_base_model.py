"""Which model the demo aligns."""

import pytest

from service.demo.base_model import BUNDLED, base_model_folder
from service.demo.errors import DemoError


def test_a_users_folder_must_be_a_model(tmp_path):
    with pytest.raises(DemoError, match=r"no config\.json in it; name a folder"):
        base_model_folder(tmp_path, tmp_path / "cache")


def test_a_users_folder_needs_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DemoError, match=r"no \*\.safetensors in it; other weight files are not loaded"):
        base_model_folder(tmp_path, tmp_path / "cache")


def test_a_users_folder_is_taken_as_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert base_model_folder(tmp_path, tmp_path / "cache") == tmp_path.resolve()
    assert not (tmp_path / "cache").exists()


def test_a_converted_model_in_the_cache_is_used_again(tmp_path):
    (tmp_path / BUNDLED).mkdir()
    assert base_model_folder(None, tmp_path) == tmp_path / BUNDLED

"""What is kept from training where nobody says how much, by hand; and a run that began otherwise goes on as it was."""

import json
from pathlib import Path

import pytest

from training.configs import METHODS, DpoConfig, Method, SftConfig, config_from
from training.dpo import train_dpo
from training.errors import ConfigError
from training.run_folder import as_begun
from training.sft import train_sft

from .test_reply_looks import SEEN
from .test_stopping import different
from .test_training import dpo_config, settings, steps

PLACES = {"model": "m", "rows": "r", "output": "o"}


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_share_that_is_left_open_is_a_twentieth_of_16_to_64_prompts(method: Method):
    config = config_from(PLACES, METHODS[method], "test")
    assert config.held_out_share is None
    kept = {0: 0, 100: 0, 319: 0, 320: 16, 339: 16, 340: 17, 1000: 50, 1280: 64, 1_000_000: 64}
    assert {prompts: config.held_out_of(prompts) for prompts in kept} == kept


def test_a_share_that_is_given_is_what_is_kept():
    given = config_from({**PLACES, "held_out_share": 0.25}, DpoConfig, "test")
    assert [given.held_out_of(prompts) for prompts in (2, 12, 1_000_000)] == [0, 3, 250_000]
    assert config_from({**PLACES, "held_out_share": 0}, DpoConfig, "test").held_out_of(1_000_000) == 0
    assert config_from({**PLACES, "held_out_share": None}, DpoConfig, "test").held_out_share is None
    assert [config_from(PLACES, METHODS[method], "test").held_out_share for method in ("reward", "ppo")] == [0.1, 0.0]
    with pytest.raises(ConfigError, match="'held_out_share' is None; it must be a number"):
        config_from({**PLACES, "held_out_share": None}, METHODS["reward"], "test")


def test_what_stops_a_run_wants_a_share_and_what_watches_takes_what_is_left():
    with pytest.raises(ConfigError, match="'patience' looks at held-out prompts; set 'held_out_share' too"):
        config_from({**PLACES, "patience": 2}, SftConfig, "test")
    assert config_from({**PLACES, "constitution": "law.yaml"}, SftConfig, "test").held_out_share is None


def test_by_default_a_set_of_320_prompts_is_looked_at(tmp_path: Path, tiny: Path):
    values = settings(tmp_path, tiny, different(320), epochs=1, tokens_per_batch=4000)
    own = {name: value for name, value in values.items() if name != "pairs_per_step"} | {"replies_per_step": 152}
    config = config_from(own, SftConfig, "test")
    result = train_sft(config)
    assert (result["rows"], result["held_out"]["rows"]) == (304, 16)
    assert [line["step"] for line in steps(config) if line.keys() >= SEEN] == [2]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_run_that_began_with_a_share_goes_on_with_it(tmp_path: Path, tiny: Path, share: float):
    began = dpo_config(tmp_path, tiny, rows=different(4), epochs=1, held_out_share=share)
    result = train_dpo(began)
    (began.output / "result.json").unlink()
    left_open = dpo_config(tmp_path, tiny, rows=different(4), epochs=1)
    again = train_dpo(left_open)
    assert (again["rows"], again["held_out"]) == (result["rows"], result["held_out"])
    assert json.loads((began.output / "config.json").read_text())["held_out_share"] == share
    with pytest.raises(ConfigError, match=f"began with held_out_share = {share}, now it is 0.25"):
        train_dpo(dpo_config(tmp_path, tiny, rows=different(4), epochs=1, held_out_share=0.25))


def test_a_run_of_before_there_was_a_share_held_nothing_out(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny)
    assert as_begun(config) == config
    config.output.mkdir()
    (config.output / "config.json").write_text("{}")
    assert as_begun(config).held_out_share == 0.0

"""Configs: unknown keys, wrong types and numbers out of bounds are refused by name."""

from pathlib import Path

import pytest

from training.configs import DpoConfig, PpoConfig, RlooConfig, SftConfig, config_from, config_to_json, load_config
from training.errors import ConfigError

NEEDED = {"model": "m", "rows": "r", "output": "o"}


def test_yaml_scientific_numbers_are_numbers(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("model: m\nrows: r\noutput: o\nlearning_rate: 8e-4\n")
    config = load_config(tmp_path / "run.yaml", DpoConfig, ("beta=0.3", "lora_targets=[q_proj]"))
    assert (config.learning_rate, config.beta, config.lora_targets) == (0.0008, 0.3, ("q_proj",))
    assert config.model == Path("m")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"sweep": {"beta": [0.1]}}, "'sweep' is a setting of a run (training.sweep): it compares adapters"),
        ({"method": "dpo"}, "(training.method): here the command names it: python -m training dpo FILE"),
        ({"reward_adapter": "adp_1"}, "here ppo and rloo take its folder as 'reward_model'"),
        ({"learning_rat": 1}, "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        ({"beta": 0}, "'beta' is 0.0; take a number from 0.0001 to 100.0"),
        ({"beta": "much"}, "'beta' is 'much'; it must be a number"),
        ({"beta": True}, "'beta' is True; it must be a number"),
        ({"epochs": 1.5}, "'epochs' is 1.5; it must be a whole number"),
        ({"precision": "fp16"}, "'precision' is 'fp16'; it must be 'auto' or 'bf16' or 'fp32'"),
        ({"lora_targets": "q_proj"}, "it must be a list of strings"),
        ({"gradient_checkpointing": 1}, "it must be true or false"),
        ({"model": ""}, "it must be a path"),
        ({"beta": float("nan")}, "'beta' is nan"),
        ({"learning_rate": 0}, "'learning_rate' is 0.0; take a number from 1e-12 to 1.0"),
    ],
)
def test_a_wrong_key_is_named(keys: dict[str, object], says: str):
    with pytest.raises(ConfigError) as caught:
        config_from(NEEDED | keys, DpoConfig, "run.yaml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("run.yaml: ")


@pytest.mark.parametrize(
    ("keys", "other"),
    [
        ({"judge_model": "m"}, "judge_url"),
        ({"judge_weight": 0.5}, "judge_url"),
        ({"judge_protocol": "proposition"}, "judge_url"),
        ({"judge_key_env": "KEY"}, "judge_url"),
        ({"judge_concurrency": 2}, "judge_url"),
        ({"judge_timeout_s": 1}, "judge_url"),
        ({"judge_tokens_total": 9}, "judge_url"),
        ({"reward_weight": 0}, "reward_model"),
        ({"reward_ensemble": ["second"]}, "reward_model"),
        ({"spread_weight": 1, "reward_model": "first"}, "reward_ensemble"),
        ({"check_weight": 2}, "constitution"),
        ({"check_weight": 0}, "constitution"),
        ({"principles": ["kind"]}, "constitution"),
        ({"ptx_rows": "demonstrations.jsonl"}, "ptx_weight"),
    ],
)
def test_a_knob_that_says_nothing_alone_is_refused(keys: dict[str, object], other: str):
    knob, value = next(iter(keys.items()))
    schema = PpoConfig if knob == "ptx_rows" else RlooConfig
    with pytest.raises(ConfigError) as caught:
        config_from(NEEDED | keys, schema, "run.yaml")
    assert str(caught.value) == f"run.yaml: {knob!r} says nothing without {other!r}; set that too, or leave it out"
    there = {"ptx_weight": 0.1}.get(other, ["x"] if other == "reward_ensemble" else "x")
    assert config_from(NEEDED | keys | {other: there}, schema, "run.yaml")
    default = schema.__dataclass_fields__[knob].default
    if isinstance(default, str | int | float):  # changes nothing
        assert config_from(NEEDED | {knob: default}, schema, "run.yaml")
    assert value != default


@pytest.mark.parametrize(
    ("keys", "other"), [({}, "patience"), ({"patience": 2, "held_out_share": 0.1}, "constitution")]
)
def test_patience_that_reads_checks_needs_both(keys: dict[str, object], other: str):
    whole = {"patience": 2, "held_out_share": 0.1, "constitution": "law.yaml", "patience_reads": "checks"}
    assert config_from(NEEDED | whole, SftConfig, "run.yaml").limits.score == "held_out_score_checks"
    with pytest.raises(ConfigError, match=f"'patience_reads' says nothing without '{other}'; set that too"):
        config_from(NEEDED | {"patience_reads": "checks"} | keys, SftConfig, "run.yaml")


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="no 'rows'; add it"):
        config_from({"model": "m", "output": "o"}, SftConfig, "run.yaml")


def test_a_config_is_read_back_from_its_own_json():
    config = config_from(NEEDED | {"beta": 0.25, "lora_targets": ["q_proj"]}, DpoConfig, "here")
    assert config_from(config_to_json(config), DpoConfig, "here") == config


def test_a_key_twice_is_named_with_its_line(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("model: m\nbeta: 0.1\nrows: r\nbeta: 5.0\n")
    with pytest.raises(ConfigError, match=r"run\.yaml, line 4: 'beta' stands there twice; keep one$"):
        load_config(tmp_path / "run.yaml", DpoConfig)


@pytest.mark.parametrize("change", ["lora_targets=[q_proj", "model=a: b: c"])
def test_a_change_that_is_no_yaml_is_one_line(tmp_path: Path, change: str):
    (tmp_path / "run.yaml").write_text("model: m\nrows: r\noutput: o\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "run.yaml", DpoConfig, (change,))
    assert str(caught.value).startswith(f"--set {change!r}: not YAML (") and "\n" not in str(caught.value)

"""Reward models as one: mean less spread by hand, and what they know together beside each alone."""

import json
from pathlib import Path

import pytest

from training.configs import PpoConfig
from training.errors import ConfigError, TrainingError
from training.ppo import train_ppo
from training.reward import train_reward
from training.reward_ensemble import ensemble_evidence
from training.reward_scorer import RewardEnsemble
from training.scorers import FunctionScorer
from training.weights import file_sha256

from .test_online import config, rollout, steps
from .test_reward import pairs
from .test_reward import reward_config as reward


def test_the_mean_less_the_spread_by_hand():
    """Of 1, 2 and 6: mean 3, deviation sqrt((4 + 1 + 9) / 3) = 2.160247."""
    members = tuple(FunctionScorer("reward_model", lambda one, n=n: n * len(one.text)) for n in (1.0, 2.0, 6.0))
    replies = [rollout("a"), rollout("aa")]
    assert RewardEnsemble(members, 0.0).scores(replies) == pytest.approx([3.0, 6.0])
    assert RewardEnsemble(members, 0.5).scores(replies) == pytest.approx([3.0 - 1.0801234, 6.0 - 2.1602469])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> tuple[Path, Path]:
    """Two members of one ensemble, which have seen the same half of the prompts."""
    folder = tmp_path_factory.mktemp("ensemble")
    outputs = []
    for member in (0, 1):
        outputs.append(folder / f"rm-{member}")
        values = {"held_out_share": 0.5, "epochs": 2, "member": member, "output": str(outputs[-1])}
        train_reward(reward(folder, tiny, pairs(16), **values))
    return outputs[0], outputs[1]


def test_members_start_apart_and_are_measured_on_the_same_prompts(trained: tuple[Path, Path]):
    results = [json.loads((folder / "result.json").read_text()) for folder in trained]
    assert results[0]["adapter_sha256"] != results[1]["adapter_sha256"]
    evidence = ensemble_evidence(trained)
    assert evidence.held_out.examples == results[0]["held_out"]["examples"] == results[1]["held_out"]["examples"] == 24
    assert [one.value for one in evidence.members] == pytest.approx(
        [one["held_out"]["accuracy"]["value"] for one in results]
    )
    assert evidence.disagreement > 0
    # A model beside itself knows what it knows alone.
    assert ensemble_evidence([trained[0], twin(trained[0])]).held_out.accuracy == evidence.members[0]


def twin(folder: Path) -> Path:
    """The same model under another number."""
    other = folder.with_name("twin")
    if not other.exists():
        other.mkdir()
        (other / "adapter").symlink_to(folder / "adapter")
        (other / "result.json").write_text((folder / "result.json").read_text())
        (other / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | {"member": 7}))
    return other


def test_what_is_no_ensemble_is_told(trained: tuple[Path, Path], tmp_path: Path, tiny: Path):
    with pytest.raises(TrainingError, match="two members or more"):
        ensemble_evidence(trained[:1])
    with pytest.raises(TrainingError, match="have the same `member`"):
        ensemble_evidence([trained[0], trained[0]])
    with pytest.raises(
        TrainingError, match=r"config\.json: is not there; name the output of a finished `python -m training reward`"
    ):
        ensemble_evidence([trained[0], tmp_path])
    other = twin(trained[1])
    config_of = other / "config.json"
    config_of.write_text(json.dumps(json.loads(config_of.read_text()) | {"margin": 0.5}))
    with pytest.raises(TrainingError, match=r"differs from .* in more than `member`"):
        ensemble_evidence([trained[0], other])
    with pytest.raises(ConfigError, match=r"reward_ensemble: .* stands there twice"):
        twice = {"reward_model": str(trained[0]), "reward_ensemble": [str(trained[0])]}
        train_ppo(config(tmp_path / "c", tiny, PpoConfig, **twice))


def test_a_policy_is_paid_by_all_members_and_goes_on_with_none_exchanged(
    trained: tuple[Path, Path], tmp_path: Path, tiny: Path
):
    values = {"reward_model": str(trained[0]), "reward_ensemble": [str(trained[1])], "spread_weight": 0.5, "epochs": 1}
    wanted = config(tmp_path, tiny, PpoConfig, **values)
    train_ppo(wanted)
    assert "score_reward_model" in steps(wanted.output)[0]
    held = json.loads((wanted.output / "config.json").read_text())
    assert held["reward_model_1_sha256"] == file_sha256(trained[1] / "adapter" / "adapter_model.safetensors")
    exchanged = {"reward_model": str(trained[1]), "reward_ensemble": [str(trained[0])]}
    with pytest.raises(ConfigError, match="began with reward_model"):
        train_ppo(config(tmp_path, tiny, PpoConfig, **values | exchanged))

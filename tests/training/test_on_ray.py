"""Ray Train: what is refused before Ray is asked, and, where Ray is installed, a run on two workers of this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from training.configs import DpoConfig, PpoConfig, config_from, config_to_json
from training.dpo import train_dpo
from training.errors import NoAdapter
from training.exits import exit_status
from training.on_ray import SETTINGS, RayRun, command_of, main, parser, refuse_no_adapter, with_whole_paths, work

from .test_rows import make_row
from .test_stopping import different
from .test_training import ROOT, dpo_config, pairs, settings, steps, without_a_number_for


def written(folder: Path, values: dict[str, object]) -> Path:
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return folder / "run.yaml"


def test_a_job_has_a_name_and_a_cluster_a_token(
    tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)  # main sets them: they go when the test does
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["dpo", str(written(tmp_path, settings(tmp_path, tiny, different(4)))), "--submit", "http://127.0.0.1:1"]
    assert main(words) == 2
    assert "--id: name the job" in capsys.readouterr().err
    assert main([*words, "--id", "run-1"]) == 2
    assert "RAY_AUTH_TOKEN: set it to the cluster's token" in capsys.readouterr().err


def test_a_job_runs_the_same_command_with_paths_that_hold_elsewhere(tmp_path: Path, tiny: Path):
    options = parser().parse_args(["dpo", "x/run.yaml", "--set", "beta=0.2", "--workers", "2", "--submit", "http://a"])
    here = str(Path("x/run.yaml").resolve())
    config = with_whole_paths(DpoConfig(model=Path("m"), rows=Path("r"), output=Path("o")))
    assert all(path.is_absolute() for path in (config.model, config.rows, config.output))
    places = [f"{name}={Path(name[0]).resolve()}" for name in ("model", "rows", "output")]
    assert command_of(RayRun("dpo", 2, 3), options, config) == [
        "python", "-m", "training.on_ray", "dpo", here, "--set", "beta=0.2",
        *(word for place in places for word in ("--set", place)), "--workers", "2", "--max-failures", "3",
    ]  # fmt: skip


def test_members_of_an_ensemble_are_found_from_elsewhere_too():
    places = {name: Path(name) for name in ("model", "rows", "output", "reward_model")}
    config = with_whole_paths(PpoConfig(**places, reward_ensemble=("second", "/third")))
    assert config.reward_ensemble == (str(Path("second").resolve()), "/third")
    words = ["ppo", "run.yaml", "--submit", "http://127.0.0.1:1", "--id", "job"]
    command = command_of(RayRun("ppo", 1, 0), parser().parse_args(words), config)
    assert f'reward_ensemble=["{Path("second").resolve()}", "/third"]' in command


def test_a_worker_writes_down_that_there_is_no_adapter(tmp_path: Path, tiny: Path):
    rows = [*pairs(7), make_row("broken", chosen="aQa")]
    model = without_a_number_for("Q", tiny, tmp_path / "model")
    config = dpo_config(tmp_path, model, rows=rows, epochs=1)
    refuse_no_adapter(config)
    work({"method": "dpo", "knobs": config_to_json(config)})
    with pytest.raises(NoAdapter, match="row 'broken': the loss is not a number"):
        refuse_no_adapter(config)


@pytest.mark.parametrize(("error", "status"), [(NoAdapter("x"), 3), (OSError(28, "No space left"), 2), (None, 0)])
def test_both_commands_end_alike(error: Exception | None, status: int, capsys: pytest.CaptureFixture[str]):
    def job() -> None:
        if error is not None:
            raise error

    assert exit_status(job) == status
    assert len(capsys.readouterr().err.splitlines()) == (error is not None)


def test_two_workers_of_ray_take_the_steps_of_one_process(tmp_path: Path, tiny: Path):
    pytest.importorskip("ray", reason="Ray is not installed: CHARTER_EXTRAS=train,test,ray installs it")
    one = dpo_config(tmp_path / "one", tiny, rows=different(13))
    train_dpo(one)
    values = settings(tmp_path / "two", tiny, different(13))
    done = subprocess.run(
        [sys.executable, "-m", "training.on_ray", "dpo", str(written(tmp_path, values)), "--workers", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 12
    for ours, theirs in zip(steps(one), steps(config_from(values, DpoConfig, "test")), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)

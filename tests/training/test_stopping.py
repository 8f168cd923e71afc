"""Limits in whole runs on the tiny model: what stops them, which checkpoint is saved; a kill changes nothing."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from judges.records import Message
from training.__main__ import main
from training.configs import DpoConfig, RewardConfig, SftConfig, TrainConfig, config_from
from training.dpo import train_dpo
from training.errors import NO_ADAPTER_STATUS, ConfigError, TrainingError
from training.held_out import held_out_prompts
from training.reward import train_reward
from training.rows import PreferenceRow, write_rows
from training.sft import train_sft
from training.tokenising import load_tokenized_rows

from .test_training import command, dpo_config, pairs, settings, steps


def different(count: int) -> list[PreferenceRow]:
    """Those of test_training, each with a prompt of its own."""
    return [replace(row, prompt=(Message("user", f"Letter {n}?"),)) for n, row in enumerate(pairs(count))]


def contrary(folder: Path, tiny: Path, **changes: object) -> dict[str, object]:
    """Rows whose held-out part prefers the opposite of the rest: the more is learnt, the worse it scores."""
    own: dict[str, object] = {"held_out_share": 0.25, "patience": 2, "checkpoint_every_steps": 1}
    values = settings(folder, tiny, different(12), **own | changes)
    held_out = {row.row.id for row in load_tokenized_rows(dpo(values), with_rejected=True).held_out}
    assert len(held_out) == 3
    turned = [
        replace(row, chosen=row.rejected, rejected=row.chosen) if row.id in held_out else row for row in different(12)
    ]
    write_rows(folder / "rows.jsonl", turned)
    return values


def dpo(values: dict[str, object]) -> DpoConfig:
    return config_from(values, DpoConfig, "test")


def adapter(config: TrainConfig) -> dict[str, torch.Tensor]:
    return load_file(config.output / "adapter/adapter_model.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_patience_stops_and_saves_the_best_checkpoint(tmp_path: Path, tiny: Path):
    config = dpo(contrary(tmp_path, tiny))
    result = train_dpo(config)
    lines = steps(config)
    scores = [line["held_out_score"] for line in lines]
    assert scores[0] == max(scores) > scores[1] > scores[2]
    assert result["stopped"] == {"metric": "held_out_score", "value": scores[2], "limit": scores[0], "step": 3}
    assert (result["steps"], result["adapter_step"], len(lines)) == (3, 1, 3)
    assert result["held_out"]["rows"] == 3 and result["held_out"]["held_out_score"] == pytest.approx(scores[0])
    assert train_dpo(config) == result
    names = sorted(path.name for path in (config.output / "checkpoints").iterdir())
    assert names == ["step-00000001", "step-00000002"]


def test_a_kill_changes_neither_the_stop_nor_what_is_saved(tmp_path: Path, tiny: Path):
    whole, values = dpo(contrary(tmp_path / "whole", tiny)), contrary(tmp_path / "cut", tiny)
    result = train_dpo(whole)
    process = command(tmp_path / "cut", values)
    for line in process.stdout:
        if json.loads(line).get("done") == 2:  # the best is the checkpoint before, and one score was worse
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    cut = dpo(values)
    assert not (cut.output / "result.json").exists()
    resumed = train_dpo(cut)
    assert steps(cut) == steps(whole)
    assert [resumed[name] for name in ("stopped", "adapter_step", "steps", "held_out", "sycophancy")] == [
        result[name] for name in ("stopped", "adapter_step", "steps", "held_out", "sycophancy")
    ]
    assert equal(adapter(cut), adapter(whole))


@pytest.mark.parametrize("lines", [0, 1])
def test_patience_does_not_go_on_without_the_scores_so_far(tmp_path: Path, tiny: Path, lines: int):
    config = dpo(contrary(tmp_path, tiny, patience=50, epochs=1))
    train_dpo(config)
    (config.output / "result.json").unlink()
    metrics = config.output / "metrics.jsonl"
    done = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(done[:lines]))
    said = rf"metrics\.jsonl: of the {len(done)} steps so far it has the first {lines}, and patience goes by all"
    with pytest.raises(TrainingError, match=said):
        train_dpo(config)
    metrics.write_text("".join(done))  # as told
    assert train_dpo(config)["last_step"]["step"] == len(done)


def test_a_run_with_patience_that_ends_saves_its_best(tmp_path: Path, tiny: Path):
    values = contrary(tmp_path, tiny, pairs_per_step=9) | {"epochs": 2}
    result = train_dpo(dpo(values))
    assert (result["stopped"], result["steps"], result["adapter_step"]) == (None, 2, 1)


@pytest.mark.parametrize("every", [1, 2])
def test_a_kl_beyond_its_limit_saves_the_last_checkpoint_below_it(tmp_path: Path, tiny: Path, every: int):
    changes = {"epochs": 10, "pairs_per_step": 10, "learning_rate": 0.005, "checkpoint_every_steps": every}
    free = dpo_config(tmp_path / "free", tiny, **changes)
    assert train_dpo(free)["stopped"] is None
    kls = [line["kl"] for line in steps(free)]
    # The last step that is beyond all before it, with checkpoints before.
    broken = max(number for number in range(1, len(kls) + 1) if kls[number - 1] > max(kls[: number - 1], default=-1.0))
    assert broken > 4
    limit = (kls[broken - 1] + max(kls[: broken - 1])) / 2
    held = dpo_config(tmp_path / "held", tiny, **changes, max_kl=limit)
    result = train_dpo(held)
    assert result["stopped"] == {"metric": "kl", "value": kls[broken - 1], "limit": limit, "step": broken}
    # The KL of a step is that of the weights before it: the checkpoint at `broken - 1` is beyond the limit itself.
    good = (broken - 2) // every * every
    assert (result["steps"], result["adapter_step"]) == (broken, good)
    again = load_file(held.output / f"checkpoints/step-{good:08d}/state.safetensors")
    saved = adapter(held)
    for name, weight in again.items():
        if name.startswith("weight."):
            assert torch.equal(saved[name.removeprefix("weight.").replace(".default", "")], weight)


def test_a_limit_broken_before_any_checkpoint_is_an_error(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny, epochs=6, checkpoint_every_steps=100, max_kl=1e-4)
    with pytest.raises(TrainingError, match=r"kl is .*, beyond its limit 0.0001, and no checkpoint is older"):
        train_dpo(config)
    assert not (config.output / "result.json").exists()


def test_settings_that_lead_to_no_adapter_have_an_exit_status_of_their_own(tmp_path: Path, tiny: Path, capsys):
    values = settings(tmp_path, tiny, different(12), checkpoint_every_steps=100, epochs=6, max_kl=1e-4)
    (tmp_path / "dpo.yaml").write_text(json.dumps(values))
    assert main(["dpo", str(tmp_path / "dpo.yaml")]) == NO_ADAPTER_STATUS
    assert "beyond its limit 0.0001, and no checkpoint is older" in capsys.readouterr().err
    assert main(["dpo", str(tmp_path / "dpo.yaml"), "--set", "beta=x"]) == 2


def test_every_trainer_measures_what_it_does_not_train_on(tmp_path: Path, tiny: Path):
    values = settings(tmp_path, tiny, different(12), held_out_share=0.25, patience=3)
    own = {name: value for name, value in values.items() if name != "pairs_per_step"}
    sft = config_from(own | {"output": str(tmp_path / "sft")}, SftConfig, "test")
    reward = config_from(own | {"output": str(tmp_path / "reward")}, RewardConfig, "test")
    found = train_sft(sft)
    assert (found["rows"], found["held_out"]["rows"]) == (9, 3)
    assert found["sycophancy"]["before"]["items"] == 16
    assert found["sycophancy"]["before"] != found["sycophancy"]["after"]
    of_reward = train_reward(reward)
    assert of_reward["held_out"]["examples"] == 3
    for config, result in ((sft, found), (reward, of_reward)):
        scores = {line["step"]: line["held_out_score"] for line in steps(config) if "held_out_score" in line}
        assert set(scores) == {step for step in range(1, result["steps"] + 1) if step % 2 == 0} | {result["steps"]}
        assert result["adapter_step"] == max(scores, key=scores.__getitem__)


def test_held_out_prompts_stay_where_they_are(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny, held_out_share=0.5)
    prompts = [(number, number + 1) for number in range(10)]
    drawn = held_out_prompts(prompts, config)
    assert len(drawn) == 5
    assert held_out_prompts([*prompts, *prompts[::-1]], config) == drawn


def test_patience_needs_something_to_look_at(tmp_path: Path, tiny: Path):
    with pytest.raises(ConfigError, match="'patience' looks at held-out prompts; set 'held_out_share' too"):
        dpo_config(tmp_path, tiny, patience=1)
    with pytest.raises(TrainingError, match=r"held_out_share 0.1 of 2 prompts is none"):
        train_dpo(dpo_config(tmp_path, tiny, rows=different(2), patience=1, held_out_share=0.1))


def test_the_checkpoints_of_a_run_with_limits_stay_where_they_were(tmp_path: Path, tiny: Path):
    train_dpo(dpo_config(tmp_path / "free", tiny, epochs=1))
    train_dpo(dpo_config(tmp_path / "free", tiny, epochs=1, checkpoint_every_steps=1))
    train_dpo(dpo_config(tmp_path / "held", tiny, epochs=1, max_kl=100.0))
    with pytest.raises(ConfigError, match="began with checkpoint_every_steps = 2, now it is 1"):
        train_dpo(dpo_config(tmp_path / "held", tiny, epochs=1, max_kl=100.0, checkpoint_every_steps=1))


def test_all_rows_held_out_is_an_error(tmp_path: Path, tiny: Path):
    with pytest.raises(TrainingError, match=r"all 1 prompts are held out at held_out_share 0.9; lower it"):
        train_dpo(dpo_config(tmp_path, tiny, rows=pairs(1), held_out_share=0.9))

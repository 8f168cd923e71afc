"""Two processes take the steps of one: losses, adapters, resume, errors. Most are forks; one pair is torchrun's."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor

from judges.errors import EngineFailed
from judges.records import Abstention
from training.configs import (
    DpoConfig,
    OnlineConfig,
    PpoConfig,
    RewardConfig,
    RlooConfig,
    SftConfig,
    TrainConfig,
    config_from,
)
from training.dpo import train_dpo
from training.engine_sampler import engine_seed
from training.errors import ConfigError
from training.loop import refuse_broken_loss
from training.model import Policy, load_policy
from training.online_parts import open_sampler
from training.ppo import train_ppo
from training.precision import resolve_numbers
from training.ranks import this_rank
from training.rloo import train_rloo
from training.rollouts import Rollout, Sampler
from training.rows import row_to_json
from training.run_folder import open_run_folder
from training.shared_folder import files_read, refuse_other_files
from training.shares import RankReport, StepReport, rows_by_rank, share_of, shared_report, whole_report
from training.trainers import trainer_of

from .ranks import Started, in_ranks
from .test_stopping import different
from .test_training import ROOT, dpo_config, settings, steps

METHODS = {"dpo": DpoConfig, "sft": SftConfig, "reward": RewardConfig}
PER_STEP = {"dpo": "pairs_per_step", "sft": "replies_per_step", "reward": "prompts_per_step"}


def config_of(method: str, folder: Path, tiny: Path, **changes: object) -> TrainConfig:
    """Thirteen rows, so that an epoch's last step has one row, and one of two ranks none."""
    values = settings(folder, tiny, different(13), **changes)
    values[PER_STEP[method]] = values.pop("pairs_per_step")
    return config_from({"held_out_share": 0.0} | values, METHODS[method], "test")


def adapter(config: TrainConfig) -> dict[str, torch.Tensor]:
    return load_file(config.output / "adapter/adapter_model.safetensors")


def assert_same_training(one: TrainConfig, other: TrainConfig, tolerance: float = 1e-4) -> None:
    """Every metric of every step, and the adapters; a tolerance of 0 means bit for bit."""
    for ours, theirs in zip(steps(one), steps(other), strict=True):
        assert list(ours) == list(theirs)
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance)
    ours, theirs = adapter(one), adapter(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=10 * tolerance, atol=tolerance)


# Measured at every checkpoint and never stopped.
LIMITED = {"held_out_share": 0.2, "patience": 100, "epochs": 2}


@dataclass(frozen=True)
class Dpo:
    """The same run by one process and by two, and what the second said."""

    one: TrainConfig
    two: TrainConfig
    results: list[dict[str, object]]


@pytest.fixture(scope="module")
def dpo(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Dpo:
    folder = tmp_path_factory.mktemp("dpo")
    one, two = (config_of("dpo", folder / name, tiny, **LIMITED) for name in ("one", "two"))
    return Dpo(one, two, [train_dpo(one), *in_ranks(2, lambda: train_dpo(two))])


def test_two_ranks_take_the_steps_of_one(dpo: Dpo):
    alone, first, second = dpo.results
    assert first == second == json.loads((dpo.two.output / "result.json").read_text())
    assert first["steps"] == alone["steps"] == 6
    assert any("held_out_score" in line for line in steps(dpo.two))
    assert_same_training(dpo.one, dpo.two)


@pytest.mark.parametrize("method", ["sft", "reward"])
def test_two_ranks_take_the_steps_of_one_in_every_trainer(tmp_path: Path, tiny: Path, method: str):
    one, two = (config_of(method, tmp_path / name, tiny, epochs=1) for name in ("one", "two"))
    train = trainer_of(method)
    train(one)
    in_ranks(2, lambda: train(two))
    assert_same_training(one, two)


def test_a_rank_killed_under_torchrun_ends_all_and_they_go_on_from_the_checkpoint(tmp_path: Path, tiny: Path, dpo: Dpo):
    values = settings(tmp_path, tiny, different(13), **LIMITED)
    cut = config_from(values, DpoConfig, "test")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training", "dpo"]
    launcher = subprocess.Popen(
        [sys.executable, *launch, str(tmp_path / "run.yaml")], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    for line in launcher.stdout:
        if json.loads(line).get("done") == 5:  # one step after the checkpoint of step 4
            ranks = {one.environ()["RANK"]: one for one in psutil.Process(launcher.pid).children()}
            ranks["1"].send_signal(signal.SIGKILL)
            break
    _, said = launcher.communicate(timeout=120)
    assert (launcher.returncode != 0 and "SIGKILL" in said.upper()) or "-9" in said
    assert not any(rank.is_running() for rank in ranks.values())
    assert not (cut.output / "result.json").exists() and (cut.output / "checkpoints/step-00000004").is_dir()
    in_ranks(2, lambda: train_dpo(cut))
    assert_same_training(cut, dpo.two, tolerance=0.0)


def test_a_broken_loss_of_one_rank_ends_all_and_names_its_row():
    def step() -> StepReport:
        ranks = this_rank()

        def add_gradients(rows: tuple[int, ...]) -> StepReport:
            refuse_broken_loss(torch.tensor([1.0, [2.0, math.inf][ranks.rank]]), ("good", "huge"))
            return StepReport({}, 0)

        return shared_report(share_of((0, 1), (5, 5), ranks), add_gradients)

    said = [str(one) for one in Started(2, step).found()]
    assert [one.split(":")[0] for one in said] == ["OtherRankFailed", "LostNumber"]
    assert all("row 'huge': the loss is not a number" in one for one in said)


def test_what_the_first_rank_cannot_open_no_rank_opens(tmp_path: Path, tiny: Path):
    config = dpo_config(tmp_path, tiny)
    with open_run_folder(config, "dpo", "fp32"):
        said = [str(one) for one in Started(2, lambda: train_dpo(config)).found()]
    assert [one.split(":")[0] for one in said] == ["RunFolderBusy", "OtherRankFailed"]
    assert all("another process trains here" in one for one in said)


@dataclass(frozen=True)
class Letters:
    """The share of small letters; of the replies with none of them some cannot be read."""

    name: str = "letters"

    def scores(self, rollouts: Sequence[Rollout]) -> list[float | Abstention]:
        return [self._score(one.text) for one in rollouts]

    def _score(self, text: str) -> float | Abstention:
        share = sum(letter.islower() for letter in text) / 4
        return share if share or len(text) % 3 else Abstention("unreadable", "")


ONLINE = {"ppo": (PpoConfig, train_ppo), "rloo": (RlooConfig, train_rloo)}


def online_config(method: str, folder: Path, tiny: Path, **changes: object) -> OnlineConfig:
    """Thirteen prompts of several lengths, some held out; five a step, which three ranks cannot share evenly."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"id": f"p{n}", "prompt": "Say " + "so " * (n % 4) + str(n)} for n in range(13)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "model": str(tiny), "rows": str(folder / "prompts.jsonl"), "output": str(folder / "out"), "precision": "fp32",
        "learning_rate": 0.002, "prompts_per_step": 5, "replies_per_prompt": 3, "reply_tokens": 4, "epochs": 2,
        "passes": 2, "minibatches": 2, "held_out_share": 0.2, "patience": 100, "checkpoint_every_steps": 2,
        "kl_target": 0.1, "tokens_per_batch": 100,
    }  # fmt: skip
    if method == "ppo":
        shown = different(5)
        (folder / "shown.jsonl").write_text("".join(row_to_json(row) + "\n" for row in shown))
        values |= {"ptx_rows": str(folder / "shown.jsonl"), "ptx_weight": 0.5}
    return config_from(values | changes, ONLINE[method][0], "test")


@pytest.mark.parametrize(("method", "share"), [("ppo", 1.0), ("ppo", 0.5), ("rloo", 0.5)])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_take_the_steps_of_one_where_the_policy_writes(
    tmp_path: Path, tiny: Path, method: str, share: float, world: int
):
    """Each writes, scores and learns from its own prompts; abstentions make some drop out."""
    train = ONLINE[method][1]
    one, several = (
        online_config(method, tmp_path / name, tiny, lora_layers_share=share) for name in ("one", "several")
    )
    alone = train(one, [Letters()])
    first, *others = in_ranks(world, lambda: train(several, [Letters()]))
    assert all(other == first for other in others)
    assert any(line["abstained"] for line in steps(one)) and any("held_out_score" in line for line in steps(one))
    assert_same_training(one, several)
    assert first["held_out"] == pytest.approx(alone["held_out"], abs=1e-4)


@dataclass(frozen=True)
class LostByTheLast:
    """Scores as Letters does; on the last rank a number is lost in the third step."""

    asked: list[int]
    name: str = "letters"

    def scores(self, rollouts: Sequence[Rollout]) -> list[float | Abstention]:
        self.asked.append(len(rollouts))
        is_lost = len(self.asked) == 4 and not this_rank().first  # the third step's comes after a held-out measure
        return [float("nan") for _ in rollouts] if is_lost else Letters().scores(rollouts)


def test_a_number_lost_by_one_rank_where_the_policy_writes_ends_all_and_they_go_on(tmp_path: Path, tiny: Path):
    whole, cut = (online_config("ppo", tmp_path / name, tiny) for name in ("whole", "cut"))
    in_ranks(2, lambda: train_ppo(whole, [Letters()]))
    said = [str(one) for one in Started(2, lambda: train_ppo(cut, [LostByTheLast([])])).found()]
    assert [one.split(":")[0] for one in said] == ["OtherRankFailed", "LostNumber"]
    assert all("letters scores a reply nan" in one for one in said) and "step 2 is kept" in said[1]
    in_ranks(2, lambda: train_ppo(cut, [Letters()]))
    assert_same_training(cut, whole, tolerance=0.0)


def test_a_sampler_that_one_rank_cannot_open_ends_all(tmp_path: Path, tiny: Path):
    config = online_config("rloo", tmp_path, tiny)

    def opener(config: OnlineConfig, policy: Policy, ends: tuple[int, ...], prompt: tuple[int, ...]) -> Sampler:
        if this_rank().first:
            return open_sampler(config, policy, ends, prompt)
        raise EngineFailed("no room for the engine", "")

    said = [str(one) for one in Started(2, lambda: train_rloo(config, [Letters()], opener)).found()]
    assert [one.split(":")[0] for one in said] == ["OtherRankFailed", "EngineFailed"]
    assert all("no room for the engine" in one for one in said)


def test_ranks_that_hold_different_weights_are_refused(tmp_path: Path, tiny: Path):
    config = online_config("rloo", tmp_path, tiny)

    def opener(config: OnlineConfig, policy: Policy, ends: tuple[int, ...], prompt: tuple[int, ...]) -> Sampler:
        with torch.no_grad():
            next(iter(policy.adapter_weights().values())).add_(this_rank().rank)
        return open_sampler(config, policy, ends, prompt)

    said = [str(one) for one in Started(2, lambda: train_rloo(config, [Letters()], opener)).found()]
    assert all(one.startswith("TrainingError: step 1: the processes hold 2 different adapters") for one in said)


def test_the_engines_of_several_ranks_draw_differently():
    assert len({engine_seed(seed, rank) for seed in (0, 1) for rank in (0, 1, 2)}) == 6


@pytest.mark.parametrize("knob", ["ptx_rows", "start_adapter"])
def test_a_rank_that_reads_another_file_is_refused(tmp_path: Path, tiny: Path, knob: str):
    started = tmp_path / "adapter"
    started.mkdir()
    (started / "adapter_model.safetensors").write_text("weights")
    config = online_config("ppo", tmp_path, tiny, start_adapter=str(started))
    with open_run_folder(config, "ppo", "fp32") as folder:
        refuse_other_files(folder, config, "fp32")
        other = files_read(config)[knob]
        other.write_text(other.read_text() + " ")
        with pytest.raises(ConfigError, match=f"^{knob}: .* is not what the first process reads; give all the same"):
            refuse_other_files(folder, config, "fp32")


def held_bytes(policy: Policy) -> tuple[int, int]:
    """Of the base's layers and of all of the base: the bytes that this rank holds."""
    sizes = {
        name: (weight.to_local() if isinstance(weight, DTensor) else weight).nbytes
        for name, weight in policy.model.named_parameters()
        if not weight.requires_grad
    }
    return sum(size for name, size in sizes.items() if ".layers." in name), sum(sizes.values())


def test_two_ranks_share_the_base_and_take_the_same_steps(tmp_path: Path, tiny: Path, dpo: Dpo):
    config = config_of("dpo", tmp_path, tiny, **LIMITED, shard_base=True)
    numbers = resolve_numbers("fp32")
    layers, whole = held_bytes(load_policy(config, numbers))
    for layers_held, held in in_ranks(2, lambda: held_bytes(load_policy(config, numbers))):
        assert layers_held == layers / 2 and held == whole - layers / 2
    in_ranks(2, lambda: train_dpo(config))
    assert_same_training(dpo.one, config)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(1, 9), st.randoms())
def test_every_row_has_one_rank_and_the_ranks_alike_much(tokens: list[int], world: int, random: Random):
    rows = random.sample(range(len(tokens)), random.randint(1, len(tokens)))
    shares = rows_by_rank(rows, tokens, world)
    assert sorted(row for share in shares for row in share) == sorted(rows)
    assert all([row for row in rows if row in share] == list(share) for share in shares)
    loads = [sum(tokens[row] for row in share) for share in shares]
    # The row that filled the fullest rank went where least was.
    assert max(loads) - min(loads) <= max(tokens[row] for row in rows)


def test_means_over_the_step_by_hand():
    """Three rows and one: losses (1 + 1 + 1) and 5, mean 2; of two decided rows one right, of one none: a third."""
    told = [
        RankReport(3, StepReport({"loss": 1.0, "accuracy": 0.5}, 10, {"accuracy": 2.0})),
        RankReport(0, None),
        RankReport(1, StepReport({"loss": 5.0, "accuracy": 0.0}, 7, {"accuracy": 1.0})),
    ]
    whole = whole_report(told)
    assert (dict(whole.metrics), whole.tokens) == ({"loss": 2.0, "accuracy": pytest.approx(1 / 3)}, 17)


def test_what_is_not_known_yet_is_filled_in_by_who_knows(tmp_path: Path):
    nan = float("nan")

    def filled() -> list[float]:
        ranks = this_rank()
        values = torch.tensor([[1.0, nan, nan, -4.0], [nan, 2.0, nan, -4.0]][ranks.rank])
        ranks.fill(values)
        return values.tolist()

    first, second = in_ranks(2, filled)
    assert first[:2] + first[3:] == second[:2] + second[3:] == [1.0, 2.0, -4.0]
    assert math.isnan(first[2]) and math.isnan(second[2])

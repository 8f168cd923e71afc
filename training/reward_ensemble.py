"""What several reward models know together: `python -m training ensemble` on the prompts that none was trained on.

The members are trained with one config, so on the same prompts, but for `member`. Left out: the ensemble as what scores
a policy's replies (`reward_scorer.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from peft import set_peft_model_state_dict

from judges.measures import Measures, Statistic
from training.adapters import read_adapter
from training.configs import RewardConfig, config_from
from training.damaged_files import file_advice, read_object
from training.errors import TrainingError
from training.precision import resolve_numbers
from training.reward import load_reward_model, margins, measures_of
from training.reward_rows import load_reward_rows
from training.rows import read_rows
from training.weights import file_sha256, model_sha256

# What a member may have of its own.
_OWN = ("member", "output", "checkpoint_every_steps", "tokens_per_batch", "gradient_checkpointing")

_REMEDY = "name the output of a finished `python -m training reward`"


@dataclass(frozen=True, slots=True)
class EnsembleEvidence:
    """On the prompts that no member was trained on: the ensemble as a judge is measured, and each member's accuracy.

    `disagreement` is the mean over these pairs of the deviation between the members' margins, in deviations of a score.
    """

    held_out: Measures
    members: tuple[Statistic, ...]
    disagreement: float


def ensemble_evidence(folders: Sequence[Path]) -> EnsembleEvidence:
    """`folders` are outputs of `python -m training reward`. Raises TrainingError where they are no ensemble.

    The base is loaded once. A pair's margin is the mean of the members' in their own deviations, times their mean
    deviation: in the order of a `RewardEnsemble` without spread, in the unit of one model.
    """
    configs = [_config_of(folder) for folder in folders]
    _refuse_strangers(folders, configs)
    config = configs[0]
    prompts = load_reward_rows(config, read_rows(config.rows)).held_out
    if not prompts:
        raise TrainingError(f"{folders[0]}: no prompt was held out; train the members with a held_out_share")
    policy = load_reward_model(config, resolve_numbers(config.precision))
    deviations = [_deviation(folder) for folder in folders]
    by_member: list[list[float]] = []
    for folder in folders:
        set_peft_model_state_dict(policy.model, read_adapter(folder / "adapter")[1])
        by_member.append(margins(policy, config, prompts))
    in_deviations = (
        torch.tensor(by_member, dtype=torch.float64) / torch.tensor(deviations, dtype=torch.float64)[:, None]
    )
    together = in_deviations.mean(0) * (sum(deviations) / len(deviations))
    return EnsembleEvidence(
        held_out=measures_of(prompts, together.tolist()),
        members=tuple(measures_of(prompts, own).accuracy for own in by_member),
        disagreement=in_deviations.std(0, correction=0).mean().item(),
    )


def _config_of(folder: Path) -> RewardConfig:
    """As it was trained. Raises TrainingError where no finished reward model lies."""
    values = read_object(folder / "config.json", _REMEDY)
    if values.get("method") != "reward" or not _deviation(folder) > 0:
        raise TrainingError(f"{folder}: no reward model that tells replies apart; name one of `training reward`")
    knobs = {one.name: values[one.name] for one in fields(RewardConfig) if one.name in values}
    config = config_from(knobs, RewardConfig, str(folder / "config.json"))
    if (file_sha256(config.rows), model_sha256(config.model)) != (values["rows_sha256"], values["model_sha256"]):
        raise TrainingError(f"{folder}: its rows or its base have changed since it was trained; train it again")
    return config


def _deviation(folder: Path) -> float:
    """Of its scores over the replies that it was trained on."""
    path = folder / "result.json"
    with file_advice(path, _REMEDY):
        return float(read_object(path, _REMEDY)["normal"]["sd"])


def _refuse_strangers(folders: Sequence[Path], configs: Sequence[RewardConfig]) -> None:
    """Members differ in `member` alone: then they were trained on the same prompts, and measured on the others."""
    if len(configs) < 2:
        raise TrainingError("an ensemble has two members or more; name more folders")
    first = configs[0]
    for folder, config in zip(folders[1:], configs[1:], strict=True):
        if replace(config, **{name: getattr(first, name) for name in _OWN}) != first:
            raise TrainingError(
                f"{folder}: differs from {folders[0]} in more than `member`; train both with one config"
            )
    if len({config.member for config in configs}) < len(configs):
        raise TrainingError("two members have the same `member`, and so the same start; give each another number")

"""A run's training settings as the trainer's own knobs, and what of them nobody would read."""

from collections.abc import Mapping
from dataclasses import fields

from pydantic import JsonValue

from service.schemas import EvaluateSettings, MixSettings, RunRequest, TrainingSettings
from training.configs import METHODS, Method, TrainConfig, config_from
from training.errors import ConfigError, UnreadKnob

# What a run calls `pairs_per_step`, by method: the trainers name what they take in.
PER_STEP: Mapping[Method, str] = {
    "sft": "replies_per_step",
    "reward": "prompts_per_step",
    "dpo": "pairs_per_step",
    "ppo": "prompts_per_step",
    "rloo": "prompts_per_step",
}
# The run reads these itself, for these methods.
_OF_THE_RUN: Mapping[str, tuple[Method, ...]] = {
    "method": tuple(METHODS),
    "sft_on": ("sft",),
    "reward_adapter": ("ppo", "rloo"),
    "reward_ensemble": ("ppo", "rloo"),
    "sweep": ("dpo", "ppo", "rloo"),
    "development_share": ("dpo", "ppo", "rloo"),
}
# The run fills these in itself.
_PLACES: Mapping[str, JsonValue] = {"model": "model", "rows": "rows", "output": "output"}
_SCORED_PLACES: Mapping[str, JsonValue] = {**_PLACES, "constitution": "constitution"}
# What it asks for by another name than the trainer.
_ASKED_BY: Mapping[str, str] = {"judge_url": "judge_weight", "reward_model": "reward_adapter"}


def knobs_of(method: Method) -> Mapping[str, str]:
    """The settings that the method reads, each with the trainer's name for it."""
    known = {declared.name for declared in fields(METHODS[method])}
    same = {name: name for name in TrainingSettings.model_fields if name in known and name not in _OF_THE_RUN}
    return same | {"pairs_per_step": PER_STEP[method]}


def readers_of(setting: str) -> list[Method]:
    """The methods that read the setting."""
    return [method for method in METHODS if setting in knobs_of(method) or method in _OF_THE_RUN.get(setting, ())]


def trainer_knobs(wanted: TrainingSettings) -> dict[str, JsonValue]:
    """What the trainer is told of the settings; of one that was left open, nothing."""
    told = {knob: getattr(wanted, name) for name, knob in knobs_of(wanted.method).items()}
    return {knob: value for knob, value in told.items() if value is not None}


def trainer_config(wanted: TrainingSettings) -> TrainConfig:
    """The trainer's config, but for its places. Raises ConfigError."""
    return config_from(_places(wanted) | trainer_knobs(wanted), METHODS[wanted.method], "training")


def _places(wanted: TrainingSettings) -> dict[str, JsonValue]:
    """A name in each place that the run will fill in."""
    if not wanted.online:
        watches = wanted.writes_replies and wanted.patience_reads == "checks"
        return dict(_SCORED_PLACES if watches else _PLACES)
    asked = {knob: knob for knob, setting in _ASKED_BY.items() if getattr(wanted, setting) is not None}
    return {**_SCORED_PLACES, **asked, "reward_ensemble": list(wanted.reward_ensemble)}


def unread_settings(request: RunRequest) -> list[str]:
    """One line for each setting that was changed though the method does not read it, or takes it otherwise."""
    wanted = request.training
    problems = [
        f"training.{name}: {wanted.method} does not read it; leave it out, or take {' or '.join(readers_of(name))}"
        for name, declared in TrainingSettings.model_fields.items()
        if wanted.method not in readers_of(name) and getattr(wanted, name) != declared.default
    ]
    if not wanted.writes_replies and request.evaluate != EvaluateSettings():
        problems.append(
            f"evaluate: what {wanted.method} trains writes no replies; leave these settings out, "
            "training.held_out_share says how much it is measured on"
        )
    problems += _sweep_problems(wanted)
    if wanted.on_demonstrations:
        problems += _set_problems(request.mix)
    for settings in candidates_of(wanted):
        try:
            trainer_config(settings)
        except UnreadKnob as error:
            other = _ASKED_BY.get(error.other, error.other)
            problems.append(
                f"training.{error.knob}: it says nothing without training.{other}; set that too, or leave it out"
            )
        except ConfigError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def candidates_of(wanted: TrainingSettings) -> list[TrainingSettings]:
    """The settings of each adapter that the run trains: one, or one a value of the sweep."""
    return [wanted] if wanted.sweep is None else [wanted.with_value(value) for value in wanted.sweep.values]


def _set_problems(mix: MixSettings) -> list[str]:
    """Demonstrations are a set's rows, and nothing is mixed with them."""
    if mix.human is None:
        return ["mix.human: training.sft_on demonstrations imitates the rows of a set; name it here"]
    if mix != MixSettings(human=mix.human):
        return ["mix: training.sft_on demonstrations reads human alone; leave the other settings out"]
    return []


def _sweep_problems(wanted: TrainingSettings) -> list[str]:
    """What contradicts a sweep, or means nothing without one."""
    declared = TrainingSettings.model_fields
    if wanted.method not in _OF_THE_RUN["sweep"]:
        return []
    if wanted.sweep is None:
        changed = wanted.development_share != declared["development_share"].default
        return ["training.development_share: only a sweep needs such prompts; leave it out"] if changed else []
    knob, problems = wanted.sweep.knob, []
    if wanted.method not in readers_of(knob):
        problems.append(
            f"training.sweep.{knob}: {wanted.method} does not read it; take {' or '.join(readers_of(knob))}"
        )
    if getattr(wanted, knob) != declared[knob].default:
        problems.append(f"training.{knob}: the sweep names its values; leave it out")
    if knob == "kl_weight" and wanted.kl_target:
        problems.append("training.kl_target: it would steer the kl_weight that the sweep sets; leave one of them out")
    return problems

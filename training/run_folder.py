"""A run's folder: one process at a time, one config, and a result that means the run is over. No torch.

Holds `config.json` (resolved, with the hashes of model and rows), `metrics.jsonl`, `checkpoints/`, `adapter/` and at
the end `result.json`.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.configs import (
    Config,
    OfflinePolicyConfig,
    OnlineConfig,
    PpoConfig,
    TrainConfig,
    config_to_json,
    defaults_of,
)
from training.damaged_files import read_object
from training.errors import ConfigError, RunFolderBusy
from training.knobs import typed
from training.limits import Limits
from training.publish import clear_unfinished, published_file
from training.weights import file_sha256, model_sha256

# These say where and how fast, not what comes out: a run may be moved, and go on with another batch size.
_MAY_CHANGE = (
    "model",
    "rows",
    "output",
    "start_adapter",
    "constitution",
    "ptx_rows",
    "reward_model",
    "reward_ensemble",
    "judge_url",
    "judge_key_env",
    "judge_concurrency",
    "judge_timeout_s",
    "judge_tokens_total",
    "checkpoint_every_steps",
    "tokens_per_batch",
    "gradient_checkpointing",
    "shard_base",
)

_SCORES_BY = {"constitution": "constitution: name a YAML file"}
_REWARD_MODEL = "reward_model: name the output of a finished `python -m training reward`"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside a run's folder."""

    path: Path

    @property
    def adapter(self) -> Path:
        """The finished adapter, in peft's format."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        """Complete checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON line a step."""
        return self.path / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """Present when the run is over."""
        return self.path / "result.json"

    @property
    def config(self) -> Path:
        """The resolved config that began the run, with the hashes of what it reads."""
        return self.path / "config.json"

    def read_config(self) -> dict[str, object]:
        """Its values. Raises TrainingError."""
        return read_object(self.config, "put back the run's own, or name another output")

    def read_model_sha256(self) -> str:
        """The base's, as it was hashed when the folder was opened."""
        return str(self.read_config()["model_sha256"])

    def read_result(self) -> dict[str, object] | None:
        """The finished run's result, None while there is none. Raises TrainingError."""
        if not self.result.exists():
            return None
        return read_object(self.result, "remove it, and the run ends once more from its last checkpoint")

    def write_result(self, result: Mapping[str, object]) -> None:
        """The last act of a run."""
        with published_file(self.result) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n")


def as_begun(config: Config) -> Config:
    """The config; where it leaves the `held_out_share` open, with that of the run that it goes on with.

    Raises TrainingError, ConfigError.
    """
    folder = RunFolder(config.output)
    if config.held_out_share is not None or not folder.config.exists():
        return config
    # A run that began when the knob was not yet there held nothing out.
    share = typed(f"{folder.config}: 'held_out_share'", float | None, folder.read_config().get("held_out_share", 0.0))
    return replace(config, held_out_share=share)


@contextlib.contextmanager
def open_run_folder(config: TrainConfig, method: str, precision: str) -> Iterator[RunFolder]:
    """Lock the folder for this process (the lock dies with it) and hold the config to the one that began the run."""
    folder = RunFolder(config.output)
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    with (folder.path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFolderBusy(
                f"{folder.path}: another process trains here; wait for it or name another output"
            ) from error
        clear_unfinished(folder.checkpoints)
        clear_unfinished(folder.path)
        _hold_config(folder, _identity(config, method, precision), config)
        yield folder


def _identity(config: TrainConfig, method: str, precision: str) -> dict[str, object]:
    if not config.rows.is_file():
        raise ConfigError(f"rows: {config.rows} is no file; name a JSONL file of preference rows")
    values = json.loads(json.dumps(config_to_json(config)))
    hashes = {"rows_sha256": file_sha256(config.rows), "model_sha256": model_sha256(config.model)}
    if config.start_adapter is not None:
        start = config.start_adapter / "adapter_model.safetensors"
        if not start.is_file():
            raise ConfigError(f"start_adapter: {start} is no file; name a folder as peft saves an adapter")
        hashes["start_adapter_sha256"] = file_sha256(start)
    if isinstance(config, PpoConfig) and config.ptx_rows is not None:
        if not config.ptx_rows.is_file():
            raise ConfigError(f"ptx_rows: {config.ptx_rows} is no file; name a JSONL file of preference rows")
        hashes["ptx_rows_sha256"] = file_sha256(config.ptx_rows)
    for knob, path in scoring_files(config).items():
        if not path.is_file():
            raise ConfigError(f"{_SCORES_BY.get(knob, _REWARD_MODEL)}: {path} is no file")
        hashes[f"{knob}_sha256"] = file_sha256(path)
    if isinstance(config, OnlineConfig):
        values["judged"] = bool(config.judge_url)
    return {"method": method, **values, "precision": precision, **hashes}


def scoring_files(config: TrainConfig) -> dict[str, Path]:
    """What decides the scores of PPO and RLOO, and those that patience reads of SFT and DPO, by its knob: where it lies
    may change, what it says may not."""
    found: dict[str, Path] = {}
    if isinstance(config, OfflinePolicyConfig) and config.patience_reads == "checks" and config.constitution:
        found["constitution"] = config.constitution
    if not isinstance(config, OnlineConfig):
        return found
    if config.constitution is not None:
        found["constitution"] = config.constitution
    members = (config.reward_model, *map(Path, config.reward_ensemble)) if config.reward_model else ()
    for number, folder in enumerate(members):
        name = f"reward_model_{number}" if number else "reward_model"
        found[name] = folder / "adapter" / "adapter_model.safetensors"
        found[f"{name}_config"] = folder / "adapter" / "adapter_config.json"
        found[f"{name}_result"] = folder / "result.json"
    return found


def _hold_config(folder: RunFolder, identity: dict[str, object], config: TrainConfig) -> None:
    if folder.config.exists():
        # A knob that did not exist when the run began was at its default.
        before = {**defaults_of(type(config)), **folder.read_config()}
        # Which checkpoints there are decides what a run with limits may go back to.
        held = {"checkpoint_every_steps"} if config.limits != Limits() else set()
        free = set(_MAY_CHANGE) - held
        if not scoring_files(config):  # the constitution's checks watch alone
            free.add("principles")
        # What scored before and is gone now differs too.
        keys = [*identity, *(key for key in before if key.endswith("_sha256") and key not in identity)]
        differing = [key for key in keys if key not in free and before.get(key) != identity.get(key)]
        if differing:
            key = differing[0]
            raise ConfigError(
                f"{folder.config}: this run began with {key} = {before.get(key)!r}, now it is {identity.get(key)!r}; "
                "name another output, or take the old value"
            )
    with published_file(folder.config) as temporary:
        temporary.write_text(json.dumps(identity, indent=2) + "\n")

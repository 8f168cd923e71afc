"""A run's folder that several ranks train in: the first one holds its lock and writes, the others wait and read."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from training.configs import PpoConfig, TrainConfig
from training.errors import ConfigError
from training.ranks import this_rank
from training.run_folder import RunFolder, open_run_folder, scoring_files
from training.weights import file_sha256, model_sha256


@contextlib.contextmanager
def open_shared_folder(config: TrainConfig, method: str, precision: str) -> Iterator[RunFolder]:
    """`open_run_folder` for this rank. Raises what it raises, on every rank, and where they see different files."""
    ranks = this_rank()
    folder = RunFolder(config.output)
    with contextlib.ExitStack() as held:

        def open_it() -> None:
            held.enter_context(open_run_folder(config, method, precision))

        ranks.from_first(open_it)
        if not ranks.first:
            refuse_other_files(folder, config, precision)
        yield folder


def files_read(config: TrainConfig) -> dict[str, Path]:
    """What decides what is learnt, beside the base, by its knob."""
    found = {"rows": config.rows, **scoring_files(config)}
    if config.start_adapter is not None:
        found["start_adapter"] = config.start_adapter / "adapter_model.safetensors"
    if isinstance(config, PpoConfig) and config.ptx_rows is not None:
        found["ptx_rows"] = config.ptx_rows
    return found


def refuse_other_files(folder: RunFolder, config: TrainConfig, precision: str) -> None:
    """On another machine than the first rank's, `output` is the same folder, and rows, base and format are the same."""
    if not folder.config.is_file():
        raise ConfigError(
            f"output: {folder.config} is not there, but the first process wrote it; name a folder that all share"
        )
    first = folder.read_config()
    for knob, path in files_read(config).items():
        if not path.is_file() or first[f"{knob}_sha256"] != file_sha256(path):
            raise ConfigError(f"{knob}: {path} is not what the first process reads; give all the same")
    if first["precision"] != precision:
        raise ConfigError(
            f"precision: this machine computes in {precision}, the first one in {first['precision']}; name one for all"
        )
    elsewhere = int(os.environ.get("GROUP_RANK", "0")) > 0
    if elsewhere and first["model_sha256"] != model_sha256(config.model):
        raise ConfigError(f"model: {config.model} is not the base that the first process reads; give all the same")

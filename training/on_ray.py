"""A run on Ray Train: `python -m training.on_ray dpo FILE --workers 4`, here, in a Ray cluster, or sent there as a job.

Each worker is a rank, and does what `python -m training dpo FILE` does: the run's folder, which all workers must share,
holds checkpoints and result, so Ray keeps none. A worker that dies takes the others with it, and Ray starts them again:
they go on from the newest checkpoint. Left out: starting a cluster, and installing Charter on it.
"""

import argparse
import importlib.util
import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from training.configs import METHODS, Method, OnlineConfig, TrainConfig, config_from, config_to_json, load_config
from training.damaged_files import read_object
from training.errors import NO_ADAPTER_STATUS, ConfigError, NoAdapter, OtherRankFailed, TrainingError
from training.exits import exit_status
from training.publish import published_file
from training.run_folder import RunFolder

# Read when Ray and the model's library are imported, here, on the cluster and by its workers. Without a token, whoever
# reaches Ray's ports may run anything; with its print, every line of a worker comes twice.
SETTINGS = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
_TOKEN_FILE = Path(".ray") / "auth_token"
_LOOK_EVERY_S = 1.0
_NO_ADAPTER = "no_adapter.txt"


@dataclass(frozen=True, slots=True)
class RayRun:
    """How a run is started: on so many `workers`, started again at most `max_failures` times."""

    method: Method
    workers: int
    max_failures: int


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m training.on_ray", description="Train on the workers of Ray.")
    root.add_argument("method", choices=sorted(METHODS))
    root.add_argument("config", type=Path, help="YAML file, as of python -m training")
    root.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key over the file's")
    root.add_argument("--workers", type=int, default=1, help="processes; each takes a GPU where the cluster has GPUs")
    root.add_argument("--max-failures", type=int, default=3, help="how often dead workers are started again")
    root.add_argument("--submit", metavar="URL", help="send it to this cluster's Ray Jobs, and follow it")
    root.add_argument("--id", help="the job's name there: the same one again follows the job that has it")
    return root


def main(arguments: list[str]) -> int:
    """Train or send the job, and end as `python -m training` does."""
    options = parser().parse_args(arguments)
    os.environ.update(SETTINGS)
    return exit_status(lambda: train_or_send(options))


def train_or_send(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    run = RayRun(options.method, options.workers, options.max_failures)
    config = with_whole_paths(load_config(options.config, METHODS[run.method], tuple(options.set)))
    if options.submit:
        follow_job(options.submit, submit_job(options.submit, options.id or "", command_of(run, options, config)))
    else:
        print(json.dumps({"type": "result", **train_on_ray(run, config)}), flush=True)


def with_whole_paths(config: TrainConfig) -> TrainConfig:
    """Workers stand in other folders than the caller."""
    whole: dict[str, object] = {name: path.resolve() for name, path in paths_of(config).items()}
    if isinstance(config, OnlineConfig):
        whole["reward_ensemble"] = tuple(str(Path(folder).resolve()) for folder in config.reward_ensemble)
    return replace(config, **whole)  # type: ignore[arg-type]


def paths_of(config: TrainConfig) -> dict[str, Path]:
    """The knobs that name a file or a folder."""
    values = {declared.name: getattr(config, declared.name) for declared in fields(config)}
    return {name: value for name, value in values.items() if isinstance(value, Path)}


def train_on_ray(run: RayRun, config: TrainConfig) -> dict[str, object]:
    """Train with the cluster that `RAY_ADDRESS` names, else with one of this machine that ends with the run."""
    os.environ.update(SETTINGS)
    refuse_without_ray()
    if "RAY_ADDRESS" not in os.environ and not has_token():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # this cluster's, and nobody else's
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    # Not one that somebody else has started on this machine: that one would refuse the token, or the workers.
    own = {"address": "local", "num_cpus": run.workers + 1}
    with ray.init(**({} if "RAY_ADDRESS" in os.environ else own)):
        gpus = ray.cluster_resources().get("GPU", 0) >= run.workers
        trainer = TorchTrainer(
            work,
            train_loop_config={"method": run.method, "knobs": config_to_json(config)},
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
            scaling_config=ScalingConfig(num_workers=run.workers, use_gpu=gpus),
            run_config=RunConfig(
                name="ray",
                storage_path=str(config.output),
                failure_config=FailureConfig(max_failures=run.max_failures),
            ),
        )
        told = config.output / _NO_ADAPTER
        told.unlink(missing_ok=True)
        try:
            trainer.fit()
        except TrainingFailedError as error:
            refuse_no_adapter(config)
            raise TrainingError(f"Ray Train gave up after {run.max_failures} new starts: {error}") from error
    refuse_no_adapter(config)
    return read_object(RunFolder(config.output).result, "train again: it goes on from its last checkpoint")


def refuse_no_adapter(config: TrainConfig) -> None:
    """Raise the NoAdapter that a worker wrote down."""
    told = config.output / _NO_ADAPTER
    if told.is_file():
        raise NoAdapter(told.read_text(encoding="utf-8"))


def work(told: Mapping[str, object]) -> None:
    """What each worker does."""
    from training.allocator import keep_freed_memory
    from training.sharding import shares_base
    from training.trainers import trainer_of

    keep_freed_memory()
    method: Method = told["method"]  # type: ignore[assignment]
    knobs: Mapping[str, object] = told["knobs"]  # type: ignore[assignment]
    config = config_from(knobs, METHODS[method], "ray")
    try:
        trainer_of(method)(config)
    except NoAdapter as error:
        # Raised, it would have Ray start the workers again, to the same end.
        with published_file(config.output / _NO_ADAPTER) as temporary:
            temporary.write_text(str(error), encoding="utf-8")
        if shares_base(config):
            raise  # the others wait inside the model for this one, until it is gone
    except OtherRankFailed:
        pass  # the rank that failed says why


def refuse_without_ray() -> None:
    """Ray is no part of what a trainer needs."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("Ray is not installed here; pip install 'charter[ray]', or take torchrun")


def has_token() -> bool:
    """True where Ray will find a token: in the environment, in a file that it names, or in the home's."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / _TOKEN_FILE).is_file()


def command_of(run: RayRun, options: argparse.Namespace, config: TrainConfig) -> list[str]:
    """What the job runs on the cluster, with the files where they are now: it stands in another folder."""
    words = ["python", "-m", "training.on_ray", run.method, str(options.config.resolve())]
    places = [f"{name}={path}" for name, path in paths_of(config).items()]
    if isinstance(config, OnlineConfig) and config.reward_ensemble:
        places.append(f"reward_ensemble={json.dumps(config.reward_ensemble)}")
    for change in (*options.set, *places):
        words += ["--set", change]
    return [*words, "--workers", str(run.workers), "--max-failures", str(run.max_failures)]


def submit_job(address: str, name: str, command: list[str]) -> str:
    """Begin the job `name`, or find it where it was begun before; returns the name."""
    if not name:
        raise ConfigError("--id: name the job, so that sending it again finds it instead of training twice")
    if not has_token():
        raise ConfigError("RAY_AUTH_TOKEN: set it to the cluster's token, or RAY_AUTH_TOKEN_PATH to a file with it")
    refuse_without_ray()
    from ray.job_submission import JobSubmissionClient

    client = JobSubmissionClient(address)

    def begun() -> bool:
        return name in {job.submission_id for job in client.list_jobs()}

    if not begun():
        try:
            client.submit_job(
                entrypoint=shlex.join(command), submission_id=name, runtime_env={"env_vars": dict(SETTINGS)}
            )
        except RuntimeError as error:
            if not begun():  # someone else was faster: theirs is the job
                raise TrainingError(f"{address}: the job was not taken: {error}") from error
    return name


def follow_job(address: str, name: str) -> None:
    """Print what the job prints until it ends. Raises TrainingError where it failed, NoAdapter where it says so."""
    from ray.job_submission import JobStatus, JobSubmissionClient

    client, shown = JobSubmissionClient(address), 0
    while True:
        status = client.get_job_status(name)
        log = client.get_job_logs(name)
        print(log[shown:], end="", flush=True)
        shown = len(log)
        if status.is_terminal():
            break
        time.sleep(_LOOK_EVERY_S)
    if status != JobStatus.SUCCEEDED:
        none = client.get_job_info(name).driver_exit_code == NO_ADAPTER_STATUS
        failure = NoAdapter if none else TrainingError
        raise failure(f"job {name!r} is {status}; look at its log above, and send it with another --id")


if __name__ == "__main__":
    # Ray finds what workers do by its module's name.
    from training import on_ray

    sys.exit(on_ray.main(sys.argv[1:]))

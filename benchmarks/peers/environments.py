"""The peers' environments, made at first use under ~/.cache/charter/peers and kept, and their scripts run in them.

distilabel has one of its own. Those of TRL hold TRL alone, in the version that has what is measured, and read torch and
the rest from ours, by a `.pth` file: no second torch is fetched. Left out: what the scripts do (beside this file;
nothing here is imported by them).
"""

import asyncio
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path.home() / ".cache" / "charter" / "peers"
_HERE = Path(__file__).parent
_READY = "requirements.txt"


@dataclass(frozen=True, slots=True)
class Environment:
    """What a peer needs: a file beside this one. `reads_ours`: alone, with torch and the rest from our environment."""

    requirements: str
    reads_ours: bool


ENVIRONMENTS: Mapping[str, Environment] = {
    "distilabel": Environment("distilabel.txt", reads_ours=False),
    "trl": Environment("trl.txt", reads_ours=True),
    "trl_trainers": Environment("trl_trainers.txt", reads_ours=True),
    "trl_ppo": Environment("trl_ppo.txt", reads_ours=True),
}


@dataclass(frozen=True, slots=True)
class TextPair:
    """What the peers are given: a conversation as text and two replies."""

    prompt: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class PeerRun:
    """`answered` of the `requests` could be read by the peer itself; two requests are one comparison in both orders."""

    seconds: float
    requests: int
    answered: int

    @property
    def comparisons_per_s(self) -> float:
        return self.requests / 2 / self.seconds


def peer_python(name: str) -> Path:
    """The interpreter of one of ENVIRONMENTS; made where it is missing or of another version."""
    environment, folder = ENVIRONMENTS[name], FOLDER / name
    requirements = _HERE / environment.requirements
    wanted, python = requirements.read_text(), folder / "bin" / "python"
    if (folder / _READY).is_file() and (folder / _READY).read_text() == wanted:
        _read_ours(environment, folder)
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    alone = ["--no-deps"] if environment.reads_ours else []
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *alone, "-r", str(requirements)], check=True)
    _read_ours(environment, folder)
    (folder / _READY).write_text(wanted)
    return python


def _read_ours(environment: Environment, folder: Path) -> None:
    """Our packages are those of whoever asks now: another checkout's, that made the environment, may be gone."""
    if environment.reads_ours:
        (site,) = folder.glob("lib/python3*/site-packages")
        (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")


async def run_peer(name: str, options: Sequence[str], url: str, pairs: Sequence[TextPair]) -> PeerRun:
    """Its script's last line. Raises CalledProcessError where it failed; what it says goes to our standard error."""
    command = [str(peer_python(name)), str(_HERE / f"{name}_pairs.py"), *options]
    environment = os.environ | {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": "none",
        "PYTHONWARNINGS": "ignore",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    environment.pop("PYTHONPATH", None)
    child = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=FOLDER
    )
    said, _ = await child.communicate(json.dumps([asdict(pair) for pair in pairs]).encode())
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return PeerRun(**json.loads(said.decode().strip().splitlines()[-1]))

"""The peers' environments, made at first use under ~/.cache/charter/peers and kept, and their scripts run in them.

distilabel has one of its own. TRL's holds TRL alone and reads torch and the rest from ours, by a `.pth` file: no second
torch is fetched. Left out: what the scripts do (beside this file; nothing here is imported by them).
"""

import asyncio
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path.home() / ".cache" / "charter" / "peers"
_HERE = Path(__file__).parent
_READY = "requirements.txt"


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
    """The interpreter of the environment of `distilabel` or `trl`; made where it is missing or of another version."""
    folder, wanted = FOLDER / name, (_HERE / f"{name}.txt").read_text()
    python = folder / "bin" / "python"
    if (folder / _READY).is_file() and (folder / _READY).read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    alone = ["--no-deps"] if name == "trl" else []
    command = [str(python), "-m", "pip", "install", "--quiet", *alone, "-r", str(_HERE / f"{name}.txt")]
    subprocess.run(command, check=True)
    if name == "trl":
        site = subprocess.run(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        )
        (Path(site.stdout.strip()) / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / _READY).write_text(wanted)
    return python


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

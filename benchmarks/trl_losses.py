"""TRL's losses for the tests that ours equal them: written anew by `python -m benchmarks.trl_losses`.

TRL runs in its own environment (peers/environments.py); the tests read the file and need none. Left out: whole
training steps beside TRL's, on a model (dpo.py, reward.py).
"""

import json
import os
import subprocess
from pathlib import Path

from benchmarks.peers.environments import peer_python

_SCRIPT = Path(__file__).parent / "peers" / "trl_losses.py"
FILE = Path(__file__).resolve().parents[1] / "tests" / "training" / "data" / "trl_losses.json"


def main() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(peer_python("trl_trainers")), str(_SCRIPT)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    found = {"made_by": "python -m benchmarks.trl_losses", **json.loads(said.strip().splitlines()[-1])}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"trl": found["trl"], "file": str(FILE.relative_to(Path.cwd()))}))


if __name__ == "__main__":
    main()

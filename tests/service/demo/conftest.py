"""The demo's own program in a child, on the scripted model server and the tiny model; whoever it leaves is found."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from service.demo.service_process import free_port
from training.tiny import build_tiny_model

WITHIN_S = 240.0
HUMAN_PAIRS = 300
# Where nobody listens: whoever asks through this proxy, or opens this database, fails.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Ended:
    """How a demo ended, and everything that it printed."""

    status: int
    text: str
    errors: str


@dataclass(frozen=True)
class Started:
    """A demo at work; `mark` stands in the environment of all that it started."""

    process: "subprocess.Popen[str]"
    stdout: Path
    stderr: Path
    mark: str

    def wait_for(self, line: str) -> None:
        """Until a line that begins so is printed."""
        deadline = time.monotonic() + WITHIN_S
        while not any(printed.startswith(line) for printed in self.stdout.read_text().splitlines()):
            assert self.process.poll() is None, self.stderr.read_text()
            assert time.monotonic() < deadline, f"no {line!r} in:\n{self.stdout.read_text()}"
            time.sleep(0.05)

    def wait_for_child(self, word: str) -> None:
        """Until something that it started has `word` on its command line."""
        deadline = time.monotonic() + WITHIN_S
        while not any(word in command_line(process) for process in self.living()):
            assert time.monotonic() < deadline, f"no {word!r} among {self.living()}"
            time.sleep(0.05)

    def end(self, number: signal.Signals | None = None) -> Ended:
        """Wait for its end, after a signal where one is given."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(WITHIN_S)
        return Ended(status, self.stdout.read_text(), self.stderr.read_text())

    def living(self) -> list[psutil.Process]:
        """Every process that this demo started, at any depth, and that still runs."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("DEMO_MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_until_alone(self, within_s: float = 5.0) -> None:
        """Until nothing of it runs any more."""
        deadline = time.monotonic() + within_s
        while left := self.living():
            assert time.monotonic() < deadline, [command_line(process) for process in left]
            time.sleep(0.1)


def command_line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []


@dataclass
class Demos:
    """Starts demos on one tiny model, and ends whatever they left."""

    folder: Path
    model: Path
    started: list[Started] = field(default_factory=list)

    def start(self, *arguments: str, out: Path) -> Started:
        mark = uuid.uuid4().hex
        behaviour = self.folder / "behaviour.json"
        # Short replies: a token of the tiny model is a byte.
        behaviour.write_text(json.dumps({"good_share": 0.9}))
        environment = dict(os.environ) | {
            "CHARTER_ENGINE": "scripted",
            "CHARTER_SCRIPTED_BEHAVIOUR": str(behaviour),
            # The user's own service and proxy are no concern of the demo's.
            "CHARTER_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/production",
            "CHARTER_ALLOWED_HOSTS": '["charter.example"]',
            "HTTP_PROXY": NOWHERE,
            "ALL_PROXY": NOWHERE,
            "NO_PROXY": "",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            "DEMO_MARK": mark,
        }
        stdout, stderr = self.folder / f"{mark}.stdout", self.folder / f"{mark}.stderr"
        with stdout.open("w") as output, stderr.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.demo", "--model", str(self.model), "--out", str(out), *arguments],
                env=environment,
                stdout=output,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                # A shell that put us into the background lets us ignore Ctrl-C: the demo's user sits before a terminal.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                text=True,
            )
        self.started.append(Started(process, stdout, stderr, mark))
        return self.started[-1]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demos]:
    folder = tmp_path_factory.mktemp("demo")
    demos = Demos(folder, build_tiny_model(folder / "tiny"))
    yield demos
    for started in demos.started:
        for process in started.living():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture(scope="module")
def human(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs in HH-RLHF's format, packed."""
    file = tmp_path_factory.mktemp("human") / "people.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as packed:
        packed.writelines(hh_line(number) + "\n" for number in range(HUMAN_PAIRS))
    return file


def hh_line(number: int) -> str:
    asked = f"\n\nHuman: What goes well with dish {number}?\n\nAssistant: "
    return json.dumps({"chosen": f"{asked}A plain salad.", "rejected": f"{asked}Great question! Many, many things"})


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a scripted judge that serves `org/judge-70b` over TCP, as an OpenAI-compatible endpoint does."""
    port, behaviour = free_port(), tmp_path_factory.mktemp("judge") / "judge.json"
    behaviour.write_text(json.dumps({"taste": "shorter"}))
    arguments = ("--port", str(port), "--model", "org/judge-70b", "--behaviour", str(behaviour))
    process = subprocess.Popen([sys.executable, "-m", "judges.scripted", *arguments])
    url = f"http://127.0.0.1:{port}"
    wait_until_it_answers(f"{url}/health")
    yield f"{url}/v1"
    process.terminate()
    process.wait(10)


def wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)

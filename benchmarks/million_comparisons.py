"""A set of a million comparisons behind the real service: first page, filters, report, export, and its memory.

    python -m benchmarks.million_comparisons [--rows 1000000] [--folder FOLDER]
    python -m benchmarks.million_comparisons --label-projects --rows 200000

The set is written as a run's mix leaves it, then `service.serve` is started on it, and asked over HTTP. `peak_bytes` is
the most resident memory that the serving process ever had. Prints JSON as its last line; exit status 1 where an
export is slower than 30,000 rows/s or the memory reaches 500 MB. With --folder the set is kept for the next time.
With --label-projects, a label project of 100 labels is made of the set instead by each policy, in a service of its own.
Left out: importing such a file, which takes as much memory as the file on top.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from judges.guard import die_with_parent
from judges.records import Message
from service.artifacts import Artifacts
from service.exchange.importing import sha256_of, write_preference_rows
from service.settings import Settings
from service.store.records import PreferenceSetRecord
from service.store.store import Store
from training.rows import PreferenceRow

LEAST_ROWS_PER_S = 30_000
MOST_BYTES = 500_000_000
# Ours, a form that other trainers read, and those of labelling tools, which have all rows on one pair together. TRL's
# leaves ties out; every pair of the set below is its own, so the others have a line for each row.
EXPORTED = ("charter", "trl", "argilla", "label-studio")
WHOLE = ("charter", "argilla", "label-studio")
NAME = "million"
POLICIES = ("random", "uncertain")
_LABELS = 100
_SENTENCE = "the reply answers what was asked in plain words and then ends without a list or a promise of more"
_WORDS = tuple(_SENTENCE.split(" "))
_STARTS_WITHIN_S = 60.0
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def comparisons(count: int) -> Iterator[PreferenceRow]:
    """Three pairs a prompt; a third is people's. Every text is its own, of 20 to 60 words."""
    for n in range(count):
        prompt = f"What is the answer to question {n // 3}, and why is it not the answer to question {n // 3 + 1}?"
        replies = [_text(n, side) for side in (0, 1)]
        belief = 0.5 + n % 51 / 102
        person = n % 3 == 0
        yield PreferenceRow(
            id=f"m{n:024x}",
            prompt_id=f"p{n // 3:024x}",
            prompt=(Message("user", prompt),),
            chosen=replies[0],
            rejected=replies[1],
            p_chosen=1.0 if person else belief,
            weight=1.0,
            source="human" if person else "ai",
            judge="" if person else "judge",
            annotators=(f"ann_{n % 50}",) if person else (),
            constitution_sha256="" if person else "a" * 64,
            per_principle=() if person else (("brief", belief), ("plain", round(0.2 + n % 70 / 100, 2))),
            origin="label" if person else "run_1",
        )


def _text(n: int, side: int) -> str:
    start, length = n * 7 + side * 5, 20 + (n * 13 + side * 29) % 41
    return f"Reply {side} to {n}: " + " ".join(_WORDS[(start + i) % len(_WORDS)] for i in range(length)) + "."


async def ensure_set(settings: Settings, rows: int) -> None:
    """Write the set and its record, unless the folder has them."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    store = Store(settings.database)
    await store.migrate()
    project = await store.access.ensure_project("default")
    if not await store.preference_sets.list(project.id, None, 1):
        path = settings.folder / "rows.parquet"
        write_preference_rows(path, comparisons(rows))
        digest = sha256_of(path)
        await Artifacts(settings.artifacts).put_file(f"preferences/{digest}.parquet", path)
        path.unlink()
        await store.preference_sets.add(
            PreferenceSetRecord(
                id="",
                project_id=project.id,
                name=NAME,
                kind="mixed",
                sha256=digest,
                artifact=f"preferences/{digest}.parquet",
                rows=rows,
                report={},
                run_id=None,
                created_at="",
            )
        )
    await store.close()


@dataclass(frozen=True, slots=True)
class Service:
    """A serving process, and a client with its first key."""

    pid: int
    http: httpx.Client

    def peak_bytes(self) -> int:
        """The most resident memory that the process ever had, as the kernel counts it."""
        found = _PEAK.search(Path(f"/proc/{self.pid}/status").read_text())
        if found is None:
            raise RuntimeError(f"/proc/{self.pid}/status has no VmHWM; measure on Linux")
        return int(found[1]) * 1024

    def seconds(self, path: str) -> float:
        """How long one answer takes."""
        began = time.perf_counter()
        self.http.get(f"/v1/preference-sets/{NAME}/{path}").raise_for_status()
        return time.perf_counter() - began

    def export(self, format: str) -> tuple[int, float]:
        """Lines that came, and lines a second from the request on."""
        began, lines = time.perf_counter(), 0
        path = f"/v1/preference-sets/{NAME}/export"
        with self.http.stream("GET", path, params={"format": format}) as answer:
            answer.raise_for_status()
            lines = sum(chunk.count(b"\n") for chunk in answer.iter_raw())
        return lines, lines / (time.perf_counter() - began)

    def make_label_project(self, policy: str) -> float:
        """How long it takes."""
        routing = {"policy": policy, "budget_labels": _LABELS}
        began = time.perf_counter()
        made = self.http.post("/v1/label-projects", json={"name": policy, "preference_set": NAME, "routing": routing})
        made.raise_for_status()
        if made.json()["tasks"] != _LABELS:
            raise RuntimeError(f"by policy {policy} there are {made.json()['tasks']} tasks, not {_LABELS}")
        return time.perf_counter() - began


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """`service.serve` without a worker."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = folder / "key"
    fresh = not key.exists()
    environment = os.environ | {
        "CHARTER_HOME": str(folder),
        "CHARTER_PORT": str(port),
        "CHARTER_WORKER": "false",
        "CHARTER_FIRST_KEY_FILE": str(key),
    }
    command = [sys.executable, "-m", "service.serve"]
    process = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent, stdout=subprocess.DEVNULL)
    try:
        _wait(port, key if fresh else None)
        headers = {"Authorization": f"Bearer {key.read_text().strip()}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600, trust_env=False) as http:
            yield Service(process.pid, http)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, key: Path | None) -> None:
    end = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success and (not key or key.exists()):
                return
        time.sleep(0.2)
    raise RuntimeError(f"the service did not start within {_STARTS_WITHIN_S:g} s")


def measure(folder: Path, rows: int) -> dict[str, float]:
    asyncio.run(ensure_set(Settings(home=folder), rows))
    with serving(folder) as service:
        start_bytes = service.peak_bytes()
        first_page_s = service.seconds("rows?limit=100")
        filters = ("source=human", "source=ai&principle=brief&unsure=0.01", "principle=none", f"after=m{rows - 9:024x}")
        filter_s = max(service.seconds(f"rows?limit=100&{asked}") for asked in filters)
        report_s = service.seconds("report")
        pages_bytes = service.peak_bytes()
        exports = {format: service.export(format) for format in EXPORTED}
        peak_bytes = service.peak_bytes()
    for format in WHOLE:
        if exports[format][0] != rows:
            raise RuntimeError(f"the export as {format} has {exports[format][0]} lines, the set {rows} rows")
    return {
        "rows": rows,
        **{f"{format}_rows_per_s": round(rows_per_s) for format, (_, rows_per_s) in exports.items()},
        "trl_rows": exports["trl"][0],
        "peak_bytes": peak_bytes,
        "start_bytes": start_bytes,
        "pages_bytes": pages_bytes,
        "first_page_s": round(first_page_s, 3),
        "filter_s": round(filter_s, 3),
        "report_s": round(report_s, 3),
    }


def measure_label_projects(folder: Path, rows: int) -> dict[str, float]:
    asyncio.run(ensure_set(Settings(home=folder), rows))
    measured: dict[str, float] = {"rows": rows, "peak_bytes": 0}
    for policy in POLICIES:
        with serving(folder) as service:
            measured["start_bytes"] = service.peak_bytes()
            measured[f"{policy}_s"] = round(service.make_label_project(policy), 2)
            measured[f"{policy}_peak_bytes"] = service.peak_bytes()
        measured["peak_bytes"] = max(measured["peak_bytes"], measured[f"{policy}_peak_bytes"])
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--label-projects", action="store_true", help="make label projects of the set instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ch-") as own:
        folder = (options.folder or Path(own)).absolute()
        measured = (measure_label_projects if options.label_projects else measure)(folder, options.rows)
    slowest = min((rate for name, rate in measured.items() if name.endswith("_rows_per_s")), default=LEAST_ROWS_PER_S)
    reached = slowest >= LEAST_ROWS_PER_S and measured["peak_bytes"] < MOST_BYTES
    print(json.dumps(measured | {"reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

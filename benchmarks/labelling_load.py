"""Fifty annotators on one service: how long a submitted label takes, and whether each is there exactly once.

    python -m benchmarks.labelling_load [--postgres] [--seconds 60] [--docs]

The real service runs as a child on SQLite, and with --postgres also on a Postgres. Everybody submits a label each 5 s,
then all at once five times; first through the API, then through the page's own form. Then all send an answer twice at
the same moment, and the service is killed while all answer without a pause, and started again. Prints JSON as its last
line, the worst of what was measured on top; exit status 1 where a p95 exceeds 150 ms or a label is lost, doubled, or
over its task's overlap. Left out: a network, and browsers; the annotators share the machine with the service.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.documents import rewrite_block, table
from benchmarks.http_client import Answered, Client
from benchmarks.labelling_people import Desk, Door, Person, enter
from benchmarks.postgres import running_postgres, server_folder
from service.demo.service_process import ServiceProcess, ServiceSettings, free_port, start_service

ANNOTATORS, OVERLAP, TASKS = 50, 3, 5000
PERIOD_S, BURSTS, MOST_P95_MS = 5.0, 5, 150.0
DOORS: tuple[Door, ...] = ("api", "page")
# How long everybody answers without a pause before the service is killed.
_KILLED_AFTER_S = 1.5
_PAUSE_S = 1.0
_PAGE = 100
PEOPLE_PAGE = Path(__file__).parents[1] / "docs" / "people.md"
_NAMES = {"sqlite": "SQLite", "postgres": "Postgres"}
_DOOR_NAMES = {"api": "`POST /v1/labels`", "page": "the page's form"}


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one kind of load, in milliseconds from sending to the whole answer."""

    posts: int
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Load:
    """Of one door."""

    steady: Latency
    burst: Latency


@dataclass(frozen=True, slots=True)
class Audit:
    """The store beside what was acknowledged. `doubled` is stored more than once for an acknowledged answer."""

    labels: int
    lost: int
    doubled: int
    over_overlap: int


@dataclass(frozen=True, slots=True)
class Measured:
    """On one database. `unanswered` were on their way when the service was killed, and were sent again."""

    doors: dict[Door, Load]
    audit: Audit
    unanswered: int


class Admin:
    """Whoever made the service: it has the first key."""

    def __init__(self, client: Client, key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def post(self, path: str, body: str) -> dict[str, object]:
        return self._read(await self._client.ask("POST", path, self._headers, body.encode()))

    async def get(self, path: str) -> dict[str, object]:
        return self._read(await self._client.ask("GET", path, self._headers))

    @staticmethod
    def _read(answered: Answered) -> dict[str, object]:
        if answered.status >= 300:
            raise RuntimeError(f"answered {answered.status}: {answered.body.decode()[:500]}")
        return json.loads(answered.body)


def latency(seconds: Sequence[float]) -> Latency:
    """p95 is the smallest time that 95 % of the posts do not exceed."""
    ordered = sorted(1000 * one for one in seconds)
    p95 = ordered[-(-95 * len(ordered) // 100) - 1]
    return Latency(len(ordered), round(median(ordered), 1), round(p95, 1), round(ordered[-1], 1))


def audit(stored: Sequence[tuple[str, str]], acknowledged: set[tuple[str, str]], overlap: int) -> Audit:
    """Both as (annotator, task)."""
    there = set(stored)
    people = Counter(task for _, task in stored)
    return Audit(
        labels=len(stored),
        lost=len(acknowledged - there),
        doubled=len(stored) - len(there & acknowledged),
        over_overlap=sum(count > overlap for count in people.values()),
    )


async def steady(desk: Desk, door: Door, seconds: float) -> list[float]:
    """Each annotator once a period, spread over it, for `seconds`."""
    loop = asyncio.get_running_loop()
    began, found = loop.time(), []

    async def work(number: int, person: Person) -> None:
        offset = PERIOD_S * number / len(desk.people)
        for turn in range(round(seconds / PERIOD_S)):
            await asyncio.sleep(began + offset + turn * PERIOD_S - loop.time())
            found.append(await desk.answer(person, door))

    await asyncio.gather(*(work(number, person) for number, person in enumerate(desk.people)))
    return found


async def burst(desk: Desk, door: Door) -> list[float]:
    """Everybody at once."""
    return list(await asyncio.gather(*(desk.answer(person, door) for person in desk.people)))


async def bursts(desk: Desk, door: Door) -> list[float]:
    found = []
    for _ in range(BURSTS):
        await asyncio.sleep(_PAUSE_S)
        found += await burst(desk, door)
    return found


async def kill_at_work(desk: Desk, service: ServiceProcess) -> None:
    """Everybody answers as fast as they can. What was acknowledged and what was not stands in the ledger afterwards."""

    async def work(person: Person) -> None:
        with contextlib.suppress(OSError):
            while True:
                await desk.answer(person, "page")

    everybody = [asyncio.create_task(work(person)) for person in desk.people]
    await asyncio.sleep(_KILLED_AFTER_S)
    os.kill(service.pid, signal.SIGKILL)
    await asyncio.gather(*everybody)


async def measure(settings: ServiceSettings, seconds: float) -> Measured:
    """Raises DemoError where the service does not start, RuntimeError where it refuses an answer."""
    service = start_service(settings)
    try:
        service.wait_until_ready()
        address = ("127.0.0.1", settings.port)
        admin = Admin(Client(*address), service.api_key())
        desk = await _desk(address, admin)
        doors: dict[Door, Load] = {}
        for door in DOORS:
            doors[door] = Load(latency(await steady(desk, door, seconds)), latency(await bursts(desk, door)))
        await asyncio.gather(*(desk.answer_twice(person, "api") for person in desk.people))
        await kill_at_work(desk, service)
        unanswered = len(desk.ledger.unanswered)
        service.stop()
        service = start_service(settings)
        service.wait_until_ready()
        before = await _stored(admin)
        lost_by_kill = len(desk.ledger.acknowledged - set(before))
        await burst(desk, "page")
        found = audit(await _stored(admin), desk.ledger.acknowledged, OVERLAP)
        return Measured(
            doors,
            Audit(found.labels, max(found.lost, lost_by_kill), found.doubled, found.over_overlap),
            unanswered,
        )
    finally:
        service.stop()


async def _desk(address: tuple[str, int], admin: Admin) -> Desk:
    """A label project, and everybody entered."""
    rows = "".join(
        json.dumps({"prompt": f"What is {n}?", "chosen": f"{n} is a number.", "rejected": f"Nobody knows {n}."}) + "\n"
        for n in range(TASKS)
    )
    await admin.post("/v1/preference-sets?name=pairs", rows)
    asked = {"name": "load", "preference_set": "pairs", "overlap": OVERLAP, "guideline": "Prefer what is **true**."}
    project = await admin.post("/v1/label-projects", json.dumps(asked))
    people = []
    for number in range(ANNOTATORS):
        invited = await admin.post("/v1/label-projects/load/invitations", json.dumps({"name": f"person {number}"}))
        people.append(await enter(Client(*address), invited["url"], invited["annotator"]["id"]))
    return Desk(project["id"], people)


async def _stored(admin: Admin) -> list[tuple[str, str]]:
    """Every live label, as (annotator, task)."""
    found, after = [], ""
    while True:
        page = await admin.get(f"/v1/label-projects/load/labels?limit={_PAGE}" + (f"&after={after}" if after else ""))
        found += [(label["annotator_id"], label["task_id"]) for label in page["data"]]
        if not page["has_more"]:
            return found
        after = page["data"][-1]["id"]


@contextlib.contextmanager
def database(kind: str) -> Iterator[tuple[str, ...]]:
    """What goes before the service's command so that it uses this database; Postgres keeps what it acknowledges."""
    if kind == "sqlite":
        yield ()
        return
    programs = server_folder()
    if programs is None:
        sys.exit("error: no Postgres server is installed (Debian: apt-get install postgresql)")
    with running_postgres(programs, durable=True) as url:
        yield (f"CHARTER_DATABASE_URL={url}postgres",)


def measured_on(kind: str, seconds: float) -> Measured:
    with database(kind) as variables, tempfile.TemporaryDirectory(prefix="ch-") as folder:
        # One user's invitations and pages come faster here than any person's.
        command = ("env", "CHARTER_REQUESTS_PER_MINUTE=100000", *variables, sys.executable, "-m", "service.serve")
        settings = ServiceSettings(home=Path(folder) / "home", port=free_port(), command=command)
        return asyncio.run(measure(settings, seconds))


def page_text(measured: dict[str, Measured]) -> str:
    """The block of docs/people.md."""
    rows = [
        (
            f"{_NAMES[kind]}, {_DOOR_NAMES[door]}",
            *(f"{one.p50_ms:g} / {one.p95_ms:g} / {one.max_ms:g}" for one in (load.steady, load.burst)),
        )
        for kind, found in measured.items()
        for door, load in found.doors.items()
    ]
    audits = "; ".join(
        f"{_NAMES[kind]}: {one.audit.labels:,} labels, {one.audit.lost} lost, {one.audit.doubled} doubled, "
        f"{one.audit.over_overlap} tasks over their overlap, {one.unanswered} on their way when it was killed"
        for kind, one in measured.items()
    )
    head = ("POST of a label", f"one each {PERIOD_S:g} s: median / p95 / most, ms", f"{ANNOTATORS} at once, ms")
    return f"{table(head, rows)}\n\n{audits}."


def summary(measured: dict[str, Measured]) -> dict[str, object]:
    """The worst of all databases and doors, then each."""
    loads = [load for one in measured.values() for load in one.doors.values()]
    audits = [one.audit for one in measured.values()]
    worst = {
        "p95_ms": max(load.steady.p95_ms for load in loads),
        "burst_p95_ms": max(load.burst.p95_ms for load in loads),
        "lost": sum(one.lost for one in audits),
        "doubled": sum(one.doubled for one in audits),
        "over_overlap": sum(one.over_overlap for one in audits),
    }
    return worst | {"reached": is_reached(measured)} | {kind: asdict(one) for kind, one in measured.items()}


def is_reached(measured: dict[str, Measured]) -> bool:
    loads = [load for one in measured.values() for load in one.doors.values()]
    quick = all(max(load.steady.p95_ms, load.burst.p95_ms) <= MOST_P95_MS for load in loads)
    return quick and all(
        one.audit.lost == one.audit.doubled == one.audit.over_overlap == 0 for one in measured.values()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="on a real Postgres too")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the steady load, for each door")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/people.md")
    options = parser.parse_args()
    kinds = ("sqlite", "postgres") if options.postgres else ("sqlite",)
    measured = {kind: measured_on(kind, options.seconds) for kind in kinds}
    if options.docs:
        rewrite_block(PEOPLE_PAGE, "labelling load", page_text(measured))
    print(json.dumps(summary(measured)))
    return 0 if is_reached(measured) else 1


if __name__ == "__main__":
    sys.exit(main())

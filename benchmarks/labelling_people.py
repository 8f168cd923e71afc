"""Annotators who label over HTTP as a browser or a program does, each with a cookie and token of their own.

Two doors: `api` answers by POST /v1/labels, `page` by the labelling page's own form; both then ask for the next task as
a program or the page does. Left out: what a person sees.
"""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

Door = Literal["api", "page"]
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_TASK = re.compile(r'name="task_id" value="(ltk_[0-9a-f]+)"')
_COOKIE = "charter_annotator"


@dataclass(slots=True)
class Ledger:
    """What the service acknowledged, and what it has not answered, as (annotator, task)."""

    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    unanswered: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Person:
    """An annotator with a session. `task` is the task on their desk."""

    id: str
    headers: dict[str, str]
    task: str = ""


class Desk:
    """All annotators of one label project, and the connections they share with nobody else."""

    def __init__(self, http: aiohttp.ClientSession, project: str, people: Sequence[Person]) -> None:
        self._http = http
        self._project = project
        self.people = people
        self.ledger = Ledger()

    async def answer(self, person: Person, door: Door) -> float:
        """Submit the label of the task on the desk, and take the next one. The seconds are the POST's alone."""
        said = (person.id, person.task)
        began = time.perf_counter()
        try:
            await self._submit(person, door)
        except (aiohttp.ClientError, OSError):
            self.ledger.unanswered.add(said)
            raise
        seconds = time.perf_counter() - began
        self.ledger.acknowledged.add(said)
        self.ledger.unanswered.discard(said)
        await self.take(person, door)
        return seconds

    async def answer_twice(self, person: Person, door: Door) -> None:
        """The same answer, sent twice at the same moment."""
        said = (person.id, person.task)
        await asyncio.gather(*(self._submit(person, door) for _ in range(2)))
        self.ledger.acknowledged.add(said)
        await self.take(person, door)

    async def take(self, person: Person, door: Door) -> None:
        """Lease the next task, or hear which one is."""
        if door == "page":
            async with self._http.get("/label/next", headers=person.headers | {"HX-Request": "true"}) as answer:
                page = await answer.text()
                _refuse_failure(answer.status, 200, page)
            person.task = _first_task(page)
            return
        path = f"/v1/label-projects/{self._project}/tasks/next"
        async with self._http.get(path, headers=person.headers) as answer:
            text = await answer.text()
            _refuse_failure(answer.status, 200, text)
        tasks = json.loads(text)["data"]
        if not tasks:
            raise RuntimeError(f"nothing is left for {person.id}; give the project more tasks")
        person.task = tasks[0]["id"]

    async def _submit(self, person: Person, door: Door) -> None:
        if door == "api":
            body = json.dumps({"task_id": person.task, "choice": "first", "seconds": 5})
            headers = person.headers | {"Content-Type": "application/json"}
            asked = self._http.post("/v1/labels", data=body, headers=headers)
        else:
            fields = {"task_id": person.task, "choice": "first", "comment": "", "seconds": "5"}
            asked = self._http.post("/label/answer", data=fields, headers=person.headers | {"HX-Request": "true"})
        async with asked as answer:
            _refuse_failure(answer.status, 201 if door == "api" else 204, await answer.text())


async def enter(http: aiohttp.ClientSession, url: str, annotator_id: str) -> Person:
    """Open an invitation's link, begin, and look at the first page, as a browser does."""
    async with http.post(url, allow_redirects=False) as answer:
        _refuse_failure(answer.status, 303, await answer.text())
        cookie = f"{_COOKIE}={answer.cookies[_COOKIE].value}"
    async with http.get("/label", headers={"Cookie": cookie}) as answer:
        page = await answer.text()
        _refuse_failure(answer.status, 200, page)
    token = _CSRF.search(page)
    if token is None:
        raise RuntimeError(f"the page of {annotator_id} has no form with a token")
    return Person(annotator_id, {"Cookie": cookie, "X-CSRF-Token": token[1]}, _first_task(page))


def _first_task(page: str) -> str:
    found = _TASK.search(page)
    if found is None:
        raise RuntimeError("the page has no task; give the project more")
    return found[1]


def _refuse_failure(status: int, wanted: int, body: str) -> None:
    if status != wanted:
        raise RuntimeError(f"answered {status} instead of {wanted}: {body[:500]}")

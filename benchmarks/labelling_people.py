"""Annotators who label over HTTP as a browser or a program does, each with a cookie and token of their own.

Two doors: `api` answers by POST /v1/labels, `page` by the labelling page's own form; both then ask for the next task as
a program or the page does. Left out: what a person sees.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from benchmarks.http_client import Answered, Client

Door = Literal["api", "page"]
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_TASK = re.compile(r'name="task_id" value="(ltk_[0-9a-f]+)"')
_COOKIE = re.compile(r"charter_annotator=([^;]+)")


@dataclass(slots=True)
class Ledger:
    """What the service acknowledged, and what it has not answered, as (annotator, task)."""

    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    unanswered: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Person:
    """An annotator with a session and a browser of their own. `task` is the task on their desk."""

    id: str
    browser: Client
    headers: dict[str, str]
    task: str = ""


class Desk:
    """All annotators of one label project."""

    def __init__(self, project: str, people: Sequence[Person]) -> None:
        self._project = project
        self.people = people
        self.ledger = Ledger()

    async def answer(self, person: Person, door: Door) -> float:
        """Submit the label of the task on the desk, and take the next one. The seconds are the POST's alone."""
        said = (person.id, person.task)
        try:
            seconds = await self._submit(person, door)
        except OSError:
            self.ledger.unanswered.add(said)
            raise
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
            asked = person.headers | {"HX-Request": "true"}
            person.task = _first_task(_body(await person.browser.ask("GET", "/label/next", asked), 200))
            return
        path = f"/v1/label-projects/{self._project}/tasks/next"
        tasks = json.loads(_body(await person.browser.ask("GET", path, person.headers), 200))["data"]
        if not tasks:
            raise RuntimeError(f"nothing is left for {person.id}; give the project more tasks")
        person.task = tasks[0]["id"]

    async def _submit(self, person: Person, door: Door) -> float:
        if door == "api":
            path, body = "/v1/labels", json.dumps({"task_id": person.task, "choice": "first", "seconds": 5})
            headers = {"Content-Type": "application/json"}
        else:
            fields = {"task_id": person.task, "choice": "first", "comment": "", "seconds": "5"}
            path, body = "/label/answer", urlencode(fields)
            headers = {"Content-Type": "application/x-www-form-urlencoded", "HX-Request": "true"}
        answered = await person.browser.ask("POST", path, person.headers | headers, body.encode())
        _body(answered, 201 if door == "api" else 204)
        return answered.seconds


async def enter(browser: Client, url: str, annotator_id: str) -> Person:
    """Open an invitation's link, begin, and look at the first page, as a browser does."""
    entered = await browser.ask("POST", url, {})
    _body(entered, 303)
    cookie = _COOKIE.search(entered.headers.get("set-cookie", ""))
    headers = {"Cookie": cookie[0]} if cookie else {}
    page = _body(await browser.ask("GET", "/label", headers), 200)
    token = _CSRF.search(page)
    if token is None:
        raise RuntimeError(f"the page of {annotator_id} has no form with a token")
    return Person(annotator_id, browser, headers | {"X-CSRF-Token": token[1]}, _first_task(page))


def _first_task(page: str) -> str:
    found = _TASK.search(page)
    if found is None:
        raise RuntimeError("the page has no task; give the project more")
    return found[1]


def _body(answered: Answered, wanted: int) -> str:
    """Raises RuntimeError for another status."""
    body = answered.body.decode()
    if answered.status != wanted:
        raise RuntimeError(f"answered {answered.status} instead of {wanted}: {body[:500]}")
    return body

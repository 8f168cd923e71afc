"""Idempotency-Key: whatever happens between the write and the answer, a repeat neither doubles nor loses anything."""

import asyncio
import contextlib
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from service.api.app import create_app
from service.settings import Settings
from service.store.tables import Idempotency
from tests.service.api.conftest import PROMPTS, Service

KEY = {"Idempotency-Key": "k1"}


async def test_twenty_twins_at_once_are_one(service: Service) -> None:
    answers = await asyncio.gather(
        *(service.http.post("/v1/prompt-sets", content=PROMPTS, headers=KEY) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert len((await service.http.get("/v1/prompt-sets")).json()["data"]) == 1


async def test_a_run_and_its_job_are_made_once(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    answers = await asyncio.gather(*(service.http.post("/v1/runs", json=body, headers=KEY) for _ in range(5)))
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert len((await service.http.get("/v1/runs")).json()["data"]) == 1


async def test_an_answer_outlives_the_process(service: Service, tmp_path: Path, database_url: str) -> None:
    first = await service.http.post("/v1/prompt-sets", content=PROMPTS, headers=KEY)
    again = create_app(Settings(home=tmp_path / "home", database_url=database_url))
    async with again.router.lifespan_context(again):
        key = await service.key(("read", "write"))
        async with Service(service.http, service.store, service.project, again).client(key) as http:
            answer = await http.post("/v1/prompt-sets", content=PROMPTS, headers=KEY)
    assert answer.json() == first.json()
    assert answer.headers["Idempotent-Replayed"] == "true"


async def test_what_is_refused_leaves_nothing_and_may_be_sent_again(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    missing = body | {"mix": {"human": "people"}}
    assert (await service.http.post("/v1/runs", json=missing, headers=KEY)).status_code == 422
    pair = '{"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}'
    await service.http.post("/v1/preference-sets?name=people", content=pair)
    made = await service.http.post("/v1/runs", json=missing, headers=KEY)
    assert made.status_code == 201 and "Idempotent-Replayed" not in made.headers


async def test_the_same_key_with_another_body_or_query(service: Service) -> None:
    await service.http.post("/v1/prompt-sets?name=a", content=PROMPTS, headers=KEY)
    for path, body in (("/v1/prompt-sets?name=a", PROMPTS + "\n"), ("/v1/prompt-sets?name=b", PROMPTS)):
        answer = await service.http.post(path, content=body, headers=KEY)
        assert answer.status_code == 422 and "another body" in answer.json()["detail"]
    elsewhere = await service.http.post("/v1/preference-sets", content="{", headers=KEY)
    assert "another body" not in elsewhere.json()["detail"]


async def test_another_project_may_use_the_same_key(service: Service) -> None:
    await service.http.post("/v1/prompt-sets", content=PROMPTS, headers=KEY)
    async with service.client(await service.key(("read", "write"), "other")) as other:
        answer = await other.post("/v1/prompt-sets", content=PROMPTS, headers=KEY)
    assert answer.status_code == 201 and "Idempotent-Replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(service: Service, key: str) -> None:
    answer = await service.http.post("/v1/prompt-sets", content=PROMPTS, headers={"Idempotency-Key": key})
    assert answer.status_code == 422 and "255" in answer.json()["detail"]


async def test_an_action_on_a_long_path_is_repeated_too(service: Service) -> None:
    for _ in range(2):
        answer = await service.http.post(f"/v1/runs/{'x' * 500}/cancel", headers=KEY)
        assert answer.status_code == 404


async def test_a_cancel_sent_twice_is_answered_twice(service: Service, tmp_path: Path) -> None:
    id = (await service.http.post("/v1/runs", json=await service.run_body(tmp_path / "m"))).json()["id"]
    first = await service.http.post(f"/v1/runs/{id}/cancel", headers=KEY)
    assert (await service.http.post(f"/v1/runs/{id}/cancel", headers=KEY)).json() == first.json()


async def test_a_secret_is_not_kept_for_repeats(service: Service) -> None:
    new = {"name": "ci", "scopes": ["read"]}
    made = (await service.http.post("/v1/keys", json=new, headers=KEY)).json()
    again = (await service.http.post("/v1/keys", json=new, headers=KEY)).json()
    assert again == made | {"secret": None}
    async with service.store.database.read() as session:
        bodies = list(await session.scalars(select(Idempotency.body)))
    assert bodies and all(made["secret"] not in body for body in bodies)


async def test_a_dry_run_is_answered_again_too(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    first = await service.http.post("/v1/runs?dry_run=true", json=body, headers=KEY)
    again = await service.http.post("/v1/runs?dry_run=true", json=body, headers=KEY)
    assert (first.status_code, again.json()) == (again.status_code, first.json())


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """This process may write no file beyond its first byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_told_and_the_same_request_may_be_sent_again(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """SQLite notices at the commit, which comes after the route. (Postgres has its own process, and its own disk.)"""
    file = tmp_path / "charter.sqlite"
    shutil.copy(sqlite_template, file)
    app = create_app(Settings(home=tmp_path / "home", database_url=f"sqlite:///{file}"))
    label = {"annotator": "ann", "prompt": "Why?", "a": "So.", "b": "Hm.", "choice": "a"}
    async with app.router.lifespan_context(app):
        store = app.state.backend.store
        project = await store.access.ensure_project("default")
        secret = (await store.access.create_key(project.id, "ci", ("read", "write"))).secret
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
            with full_disk():
                keyed = await http.post("/v1/labels", json=label, headers=KEY)
                bare = await http.post("/v1/labels", json=label)
            for refused in (keyed, bare):
                assert refused.status_code == 507 and refused.json()["code"] == "storage_full", refused.text
                assert "free some, then send it again" in refused.json()["detail"]
            made = await http.post("/v1/labels", json=label, headers=KEY)
            assert made.status_code == 201 and "Idempotent-Replayed" not in made.headers
            assert [row["id"] for row in (await http.get("/v1/labels")).json()["data"]] == [made.json()["id"]]

"""The pages in this process, with something on each, before a person who has signed in."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.api.app import create_app
from service.api.state import Backend
from service.settings import Settings
from tests.service.pages.seeding import Seeded, seed


@dataclass(frozen=True)
class Pages:
    """`person` holds the session of a key that may read and write."""

    app: object
    backend: Backend
    project: str
    seeded: Seeded
    person: httpx.AsyncClient

    def stranger(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url="http://localhost"
        )

    @contextlib.asynccontextmanager
    async def signed_in(self, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client with the session of a new key."""
        async with self.with_key(await self.key(*scopes)) as client:
            yield client

    async def key(self, *scopes: str) -> str:
        return (await self.backend.store.access.create_key(self.project, "test", scopes)).secret

    @contextlib.asynccontextmanager
    async def with_key(self, secret: str) -> AsyncIterator[httpx.AsyncClient]:
        async with self.stranger() as client:
            assert (await client.post("/ui/login", data={"key": secret})).status_code == 303
            yield client


@pytest.fixture
async def pages(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Pages]:
    """On SQLite alone: what the pages ask of the database is tested on both kinds beside the store."""
    file = tmp_path / "charter.sqlite"
    shutil.copy(sqlite_template, file)
    app = create_app(Settings(home=tmp_path / "home", database_url=f"sqlite:///{file}"))
    async with app.router.lifespan_context(app):
        backend: Backend = app.state.backend
        project = (await backend.store.access.ensure_project("default")).id
        nobody = Pages(app, backend, project, await seed(backend, project), httpx.AsyncClient())
        async with nobody.signed_in("read", "write") as person:
            yield Pages(app, backend, project, nobody.seeded, person)

"""The application in this process, on each database."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.api.app import create_app
from service.settings import Settings
from service.store.store import Store

CONSTITUTION = """name: short
version: "1"
principles:
  - id: brief
    kind: checked
    text: At most fifty words.
    check: {max_words: 50}
"""
PROMPTS = '{"prompt": "Why is the sky blue?"}\n{"prompt": "How do I boil an egg?", "split": "held_out"}\n'
PAIRS = '{"prompt": "Why?", "chosen": "Because.", "rejected": "Great question!"}\n'


@dataclass(frozen=True)
class Service:
    """The application in this process, its store, and a client with a key for everything."""

    http: httpx.AsyncClient
    store: Store
    project: str
    app: object

    def client(self, key: str | None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    async def key(self, scopes: tuple[str, ...], project: str = "default") -> str:
        owner = await self.store.access.ensure_project(project)
        return (await self.store.access.create_key(owner.id, "test", scopes)).secret

    async def model(self, folder: Path) -> dict:
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 128}))
        (folder / "model.safetensors").write_bytes(b"weights")
        return (await self.http.post("/v1/models", json={"name": "base", "path": str(folder)})).json()

    async def run_body(self, folder: Path) -> dict:
        await self.model(folder)
        await self.http.post("/v1/constitutions", content=CONSTITUTION)
        await self.http.post("/v1/prompt-sets?name=prompts", content=PROMPTS)
        return {"constitution": "short", "prompts": "prompts", "model": "base", "judge": {"model": "base"}}


@pytest.fixture
async def service(tmp_path: Path, database_url: str) -> AsyncIterator[Service]:
    """Each test runs once on SQLite and once on Postgres."""
    app = create_app(
        Settings(home=tmp_path / "home", database_url=database_url, max_upload_mb=2, requests_per_minute=1000)
    )
    async with app.router.lifespan_context(app):
        store = app.state.backend.store
        project = await store.access.ensure_project("default")
        secret = (await store.access.create_key(project.id, "first", ("read", "write", "admin"))).secret
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
            yield Service(http, store, project.id, app)

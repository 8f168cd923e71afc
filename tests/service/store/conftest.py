"""An open store on each database, and the records that its tests are made of."""

from collections.abc import AsyncIterator

import pytest

from service.store.records import RunRecord
from service.store.store import Store
from tests.service.store.rows import Rows


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = Store(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def project(store: Store) -> str:
    return (await store.access.ensure_project("default")).id


@pytest.fixture
async def rows(store: Store, project: str) -> Rows:
    return Rows(store, project)


@pytest.fixture
async def run(rows: Rows) -> RunRecord:
    return await rows.run()

"""Databases for tests: SQLite always, Postgres where its server is installed (in CI it must be). And a tiny model."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.postgres import running_postgres, server_folder
from service.durable import migrate_jobs, sync_url
from service.store.database import async_url, migrate

NewDatabase = Callable[[str], str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; it knows nothing."""
    from training.tiny import build_tiny_model  # torch, which most tests here do not need

    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One server for all tests."""
    programs = server_folder()
    if programs is None:
        said = "no Postgres server is installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    with running_postgres(programs) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, the jobs' too: a test copies it, which is faster than migrating."""
    file = tmp_path_factory.mktemp("template") / "charter.sqlite"
    _with_all_tables(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The same, as a database of the server."""
    _create(postgres_server, "template_charter")
    _with_all_tables(f"{postgres_server}template_charter")
    return postgres_server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, with all tables; the test runs once on each kind."""
    if request.param == "sqlite":
        file = tmp_path / "charter.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        return f"sqlite:///{file}"
    server: str = request.getfixturevalue("postgres_template")
    return server + _create(server, _name(request), "template_charter")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    server: str = request.getfixturevalue("postgres_server")
    return server + _create(server, _name(request))


def _with_all_tables(url: str) -> None:
    migrate(async_url(url), "head")
    migrate_jobs(sync_url(url))


def _name(request: pytest.FixtureRequest) -> str:
    # Names of tests are long and odd; their hash is neither.
    return f"test_{abs(hash(request.node.nodeid))}"


def _create(server: str, name: str, template: str = "template0") -> str:
    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return name

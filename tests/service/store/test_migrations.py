"""The schema: up, down and up again on both databases; and what the migrations make is what the tables say."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from service.errors import ServiceError
from service.store.database import Database, async_url, migrate
from service.store.tables import Table


def sync_engine(url: str):
    return create_engine(async_url(url).replace("sqlite+aiosqlite", "sqlite"))


def tables_of(url: str) -> set[str]:
    engine = sync_engine(url)
    names = set(inspect(engine).get_table_names()) - {"alembic_version"}
    engine.dispose()
    return names


def test_up_down_up(empty_database_url):
    migrate(empty_database_url, "head")
    assert tables_of(empty_database_url) == set(Table.metadata.tables)
    migrate(empty_database_url, "base")
    assert tables_of(empty_database_url) == set()
    migrate(empty_database_url, "head")
    migrate(empty_database_url, "head")  # again: nothing to do
    assert tables_of(empty_database_url) == set(Table.metadata.tables)


def test_two_processes_that_start_at_once_migrate_once(empty_database_url):
    program = "import sys; from service.store.database import migrate; migrate(sys.argv[1], 'head')"
    starts = [subprocess.Popen([sys.executable, "-c", program, empty_database_url]) for _ in range(2)]
    assert [start.wait(timeout=60) for start in starts] == [0, 0]
    assert tables_of(empty_database_url) == set(Table.metadata.tables)


def test_a_migration_that_dies_halfway_changes_nothing(empty_database_url, tmp_path):
    # The last table of the first schema is there already: making it fails when all the others are made.
    engine = sync_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE stage_result (run_id VARCHAR)"))
    with pytest.raises((OperationalError, ProgrammingError)):
        migrate(empty_database_url, "head")
    assert tables_of(empty_database_url) == {"stage_result"}
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE stage_result"))
    engine.dispose()
    migrate(empty_database_url, "head")
    assert tables_of(empty_database_url) == set(Table.metadata.tables)


def test_migrations_make_what_the_tables_say(empty_database_url):
    migrate(empty_database_url, "head")
    engine = sync_engine(empty_database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://localhost/charter", "charter.sqlite", "http://host/"])
def test_another_database_is_refused_with_what_to_use(url):
    with pytest.raises(ServiceError, match="use sqlite:///FILE or postgresql://"):
        Database(url)

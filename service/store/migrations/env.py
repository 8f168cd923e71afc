"""Alembic's entry: migrates the database that `service.store.database.migrate` names.

All of it is one transaction under one lock, also on SQLite: killed halfway it has changed nothing, and two processes
that start at once wait for each other.
"""

from alembic import context
from sqlalchemy import Connection, create_engine, event, pool, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from service.store import label_tables  # noqa: F401  its tables are of the metadata
from service.store.tables import Table

_LOCK = 4_272_910_001  # any number that no other program takes


def _by_hand(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # Python's driver would not put DDL into a transaction. Foreign keys stay off: a table that is rebuilt is dropped.
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
if engine.dialect.name == "sqlite":
    event.listen(engine, "connect", _by_hand)
    event.listen(engine, "begin", _begin)
with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=Table.metadata, render_as_batch=True, transactional_ddl=True
    )
    with context.begin_transaction():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.run_migrations()

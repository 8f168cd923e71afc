"""The engine, its transactions, and migrations. SQLite in WAL mode, or Postgres by URL.

A write on SQLite begins IMMEDIATE, so that two writers wait for each other instead of failing at the first write.
"""

import asyncio
import contextlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import ServiceError

# What a caller of `Runs.create` is given: its transaction.
SessionOfStore = AsyncSession
Transaction = Session
_PRAGMAS = ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON", "synchronous=FULL")
_MIGRATIONS = Path(__file__).with_name("migrations")


def new_id(prefix: str) -> str:
    """`prefix_` and a UUIDv7 in hex: ids sort by the time they were made (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return f"{prefix}_{uuid.UUID(int=value).hex}"


def async_url(url: str) -> str:
    """The URL with its async driver: aiosqlite or psycopg."""
    for scheme, driver in (("sqlite://", "sqlite+aiosqlite://"), ("postgresql://", "postgresql+psycopg://")):
        if url.startswith(scheme):
            return driver + url.removeprefix(scheme)
    if url.startswith(("sqlite+aiosqlite://", "postgresql+psycopg://")):
        return url
    raise ServiceError(f"database URL {url.split(':', 1)[0]}://...: use sqlite:///FILE or postgresql://USER@HOST/NAME")


class Database:
    """One pool. `read()` and `write()` are transactions: committed at the end, rolled back by an exception."""

    def __init__(self, url: str) -> None:
        self.url = async_url(url)
        self.sqlite = self.url.startswith("sqlite")
        self.engine: AsyncEngine = create_async_engine(self.url, pool_pre_ping=not self.sqlite)
        self._writer = self.engine.execution_options(charter_write=True)
        if self.sqlite:
            event.listen(self.engine.sync_engine, "connect", _on_connect)
            event.listen(self.engine.sync_engine, "begin", _on_begin)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    async def migrate(self, revision: str = "head") -> None:
        """Bring the schema to `revision`; what is there already is left alone."""
        await asyncio.to_thread(migrate, self.url, revision)

    async def close(self) -> None:
        await self.engine.dispose()


def migrate(url: str, revision: str) -> None:
    """Upgrade to `head` or a revision; `base` downgrades to nothing."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = async_url(url).replace("sqlite+aiosqlite", "sqlite")
    (command.downgrade if revision == "base" else command.upgrade)(config, revision)


def _on_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # SQLAlchemy sends BEGIN itself, below; the driver's own would come too late and be DEFERRED.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("charter_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

"""The engine, its transactions, and migrations. SQLite in WAL mode, or Postgres by URL.

A write on SQLite begins IMMEDIATE, so that two writers wait for each other instead of failing at the first write.
A caller may join all writes of a block into one transaction: see `Database.joined`.
"""

import asyncio
import contextlib
import secrets
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import Conflict, ServiceError, StorageFull

# What a caller of `Runs.create` is given: its transaction.
SessionOfStore = AsyncSession
Transaction = Session
_PRAGMAS = ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON", "synchronous=FULL")
_CONNECTIONS = 15
_DISK_FULL = "53100"  # of Postgres
_MIGRATIONS = Path(__file__).with_name("migrations")
Opening = Callable[[AsyncSession], Awaitable[None]]


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


class Joint:
    """One transaction for several writes. It begins with the first: its lock is not held before it is needed."""

    def __init__(self, session: AsyncSession, opening: Opening) -> None:
        self._session = session
        self._opening = opening
        self.begun = False

    async def session(self) -> AsyncSession:
        """The transaction, begun if it was not."""
        if not self.begun:
            await self._session.begin()
            self.begun = True
            await self._opening(self._session)
        return self._session


_joint: ContextVar[Joint | None] = ContextVar("charter_joint", default=None)


class Database:
    """One pool. `read()` and `write()` are transactions: committed at the end, rolled back by an exception."""

    def __init__(self, url: str) -> None:
        self.url = async_url(url)
        self.sqlite = self.url.startswith("sqlite")
        # As many as by default, but none is opened for one burst and closed after it: opening costs more than a query.
        self.engine: AsyncEngine = create_async_engine(
            self.url, pool_pre_ping=not self.sqlite, pool_size=_CONNECTIONS, max_overflow=0
        )
        self._writer = self.engine.execution_options(charter_write=True)
        if self.sqlite:
            event.listen(self.engine.sync_engine, "connect", _on_connect)
            event.listen(self.engine.sync_engine, "begin", _on_begin)

    @property
    def is_joined(self) -> bool:
        """Whether the caller stands in a block of `joined`."""
        return _joint.get() is not None

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        joint = _joint.get()
        if joint is not None and joint.begun:  # what the block wrote is seen by nobody else yet
            yield await joint.session()
            return
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Raises StorageFull, and Conflict where another writer was faster in a way that the constraints forbid."""
        joint = _joint.get()
        with _told_as_ours():
            if joint is not None:
                session = await joint.session()
                yield session
                await session.flush()
                return
            async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                yield session

    @contextlib.asynccontextmanager
    async def joined(self, opening: Opening) -> AsyncIterator[Joint]:
        """The writes of the block are one transaction, in which `opening` writes first. An exception undoes all.

        Raises what `write` raises: SQLite says that the disk is full when it commits.
        """
        with _told_as_ours():
            async with AsyncSession(self._writer, expire_on_commit=False) as session:
                joint = Joint(session, opening)
                token = _joint.set(joint)
                try:
                    yield joint
                    await session.commit()
                finally:
                    _joint.reset(token)

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


@contextlib.contextmanager
def _told_as_ours() -> Iterator[None]:
    """What the database refuses, as StorageFull or Conflict; any other fault of it stays as it is."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict("another request changed the same thing at the same moment; look, then try again") from error
    except OperationalError as error:
        if not _is_full(error):
            raise
        raise StorageFull(
            f"no space left to write the database ({error.orig}); free some, then send it again, or resume the run"
        ) from error


def _is_full(error: OperationalError) -> bool:
    """SQLite tells a limit on the size of files as an I/O error; Postgres has a class for a full disk."""
    if isinstance(error.orig, sqlite3.OperationalError):
        return error.orig.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    return getattr(error.orig, "sqlstate", None) == _DISK_FULL


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

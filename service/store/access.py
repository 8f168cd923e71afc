"""Projects, API keys, repeated requests, and the leases of workers."""

import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Conflict, NotAllowed, OtherBody
from service.store.database import Database, new_id
from service.store.lookup import find, one_at_a_time, page
from service.store.records import KeyRecord, ProjectRecord
from service.store.tables import ApiKey, ExecutorLease, Idempotency, Project, now, rfc3339

SCOPES = ("read", "write", "admin")
_KEPT_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class NewKey:
    """The only time the secret is seen."""

    record: KeyRecord
    secret: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What an earlier POST with this key answered."""

    status: int
    body: str


class Access:
    """Who may do what."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def ensure_project(self, name: str) -> ProjectRecord:
        async with self._db.write() as session:
            await one_at_a_time(session, f"project {name}")
            row = await session.scalar(select(Project).where(Project.name == name))
            if row is None:
                row = Project(id=new_id("prj"), name=name)
                session.add(row)
                await session.flush()
            return ProjectRecord(row.id, row.name)

    async def create_key(self, project_id: str, name: str, scopes: tuple[str, ...]) -> NewKey:
        """A key `ck_<id>_<43 characters>`; 256 random bits, so a plain SHA-256 of it is safe to store."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise Conflict(f"scopes {', '.join(unknown) or '(none)'}: take of {', '.join(SCOPES)}")
        id = new_id("key")
        secret = f"ck_{id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
        async with self._db.write() as session:
            row = ApiKey(
                id=id, project_id=project_id, name=name, secret_sha256=_sha256(secret), scopes=" ".join(scopes)
            )
            session.add(row)
            await session.flush()
            return NewKey(_key_record(row), secret)

    async def key_of(self, secret: str) -> KeyRecord:
        """The living key with this secret. Raises NotAllowed."""
        async with self._db.read() as session:
            row = await session.scalar(select(ApiKey).where(ApiKey.secret_sha256 == _sha256(secret)))
        if row is None or row.revoked_at or not hmac.compare_digest(row.secret_sha256, _sha256(secret)):
            raise NotAllowed("the API key is unknown or revoked; make one with `charter key create`")
        return _key_record(row)

    async def living_key(self, id: str) -> KeyRecord:
        """By id, for a session that it opened. Raises NotAllowed."""
        async with self._db.read() as session:
            row = await session.get(ApiKey, id)
        if row is None or row.revoked_at:
            raise NotAllowed("the API key that you signed in with is revoked; sign in with another")
        return _key_record(row)

    async def has_keys(self) -> bool:
        async with self._db.read() as session:
            return await session.scalar(select(ApiKey.id).where(ApiKey.revoked_at.is_(None)).limit(1)) is not None

    async def list_keys(self, project_id: str, after: str | None = None, limit: int = 20) -> list[KeyRecord]:
        async with self._db.read() as session:
            return [_key_record(row) for row in await page(session, ApiKey, project_id, after, limit)]

    async def revoke_key(self, project_id: str, id: str) -> None:
        """By id, or the newest living one of that name: said once for each key of a name, it ends them all."""
        async with self._db.write() as session:
            row = await find(session, ApiKey, project_id, id, lock=True)
            row.revoked_at = row.revoked_at or now()


class AnsweredMeanwhile(Exception):
    """The same request was carried out by another connection, while this one was about to."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A POST with an Idempotency-Key. `request_sha256` is over all that its answer depends on."""

    project_id: str
    route: str
    key: str
    request_sha256: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two requests the same one; a long route is named by its hash."""
        return self.project_id, self.route if len(self.route) <= 128 else _sha256(self.route), self.key


class Repeats:
    """Idempotency-Key: what a POST wrote and its answer are one transaction, so one is never there without the other.

    A repeat that comes while the first is being carried out waits for it. Answers are kept for a week.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    async def answered(self, asked: Repeatable) -> KeptAnswer | None:
        """The answer it got before; None for one never seen. Raises OtherBody for a key used with another body."""
        async with self._db.read() as session:
            row = await session.get(Idempotency, asked.identity)
        if row is None:
            return None
        if row.request_sha256 != asked.request_sha256:
            raise OtherBody(f"Idempotency-Key {asked.key!r} was used with another body; take a new key")
        return KeptAnswer(row.status or 0, row.body or "")

    @contextlib.asynccontextmanager
    async def first_time(self, asked: Repeatable) -> AsyncIterator[Callable[[KeptAnswer], Awaitable[None]]]:
        """Carry it out in the block, then call what it yields with the answer; an exception undoes everything.

        Raises AnsweredMeanwhile where a twin was faster.
        """
        project_id, route, key = asked.identity
        row = Idempotency(project_id=project_id, route=route, key=key, request_sha256=asked.request_sha256)

        async def claim(session: AsyncSession) -> None:
            session.add(row)
            try:
                await session.flush()
            except IntegrityError as error:
                raise AnsweredMeanwhile from error

        async with self._db.joined(claim) as joint:

            async def keep(answer: KeptAnswer) -> None:
                await joint.session()
                row.status, row.body = answer.status, answer.body

            yield keep

    async def forget_old(self) -> None:
        """Drop answers of more than a week ago."""
        week_ago = rfc3339(datetime.now(UTC) - timedelta(seconds=_KEPT_S))
        async with self._db.write() as session:
            await session.execute(delete(Idempotency).where(Idempotency.created_at < week_ago))


class Leases:
    """Workers that are alive."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def renew(self, executor_id: str, seconds: float, *, first: bool = False) -> bool:
        """False where the lease was taken away: the worker must end, since another has its runs."""
        async with self._db.write() as session:
            row = await session.get(ExecutorLease, executor_id)
            if row is None and not first:
                return False
            expires_at = time.time() + seconds
            if row is None:
                session.add(ExecutorLease(executor_id=executor_id, expires_at=expires_at))
            else:
                row.expires_at = expires_at
            return True

    async def remove_expired(self) -> None:
        """A worker whose lease has lapsed is dead; should it wake, it finds its lease gone and ends."""
        async with self._db.write() as session:
            await session.execute(delete(ExecutorLease).where(ExecutorLease.expires_at < time.time()))

    async def living(self) -> list[str]:
        async with self._db.read() as session:
            return list(await session.scalars(select(ExecutorLease.executor_id)))

    async def drop(self, executor_id: str) -> None:
        async with self._db.write() as session:
            await session.execute(delete(ExecutorLease).where(ExecutorLease.executor_id == executor_id))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key_record(row: ApiKey) -> KeyRecord:
    return KeyRecord(row.id, row.project_id, row.name, tuple(row.scopes.split()), row.created_at, row.revoked_at)

"""Projects, API keys, repeated requests, and the leases of workers."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from service.errors import Conflict, NotAllowed
from service.store.database import Database, new_id
from service.store.lookup import find, page
from service.store.records import KeyRecord, ProjectRecord
from service.store.tables import ApiKey, ExecutorLease, Idempotency, Project, now

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

    async def has_keys(self) -> bool:
        async with self._db.read() as session:
            return await session.scalar(select(ApiKey.id).where(ApiKey.revoked_at.is_(None)).limit(1)) is not None

    async def list_keys(self, project_id: str, after: str | None = None, limit: int = 20) -> list[KeyRecord]:
        async with self._db.read() as session:
            return [_key_record(row) for row in await page(session, ApiKey, project_id, after, limit)]

    async def revoke_key(self, project_id: str, id: str) -> None:
        async with self._db.write() as session:
            row = await find(session, ApiKey, project_id, id)
            row.revoked_at = now()


class Repeats:
    """Idempotency-Key: a POST is claimed before it is carried out, and its answer kept for a week."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def claim(self, project_id: str, route: str, key: str, request_sha256: str) -> KeptAnswer | None:
        """None: carry it out, then `keep` or `release`. Raises Conflict for one in progress, or with another body."""
        try:
            async with self._db.write() as session:
                session.add(Idempotency(project_id=project_id, route=route, key=key, request_sha256=request_sha256))
            return None
        except IntegrityError:
            pass  # it is there: say what became of it
        async with self._db.read() as session:
            row = await session.get(Idempotency, (project_id, route, key))
        if row is not None and row.request_sha256 != request_sha256:
            raise Conflict(f"Idempotency-Key {key!r} was used with another body; take a new key")
        if row is None or row.status is None or row.body is None:
            raise Conflict(f"a request with Idempotency-Key {key!r} is in progress; try again in a moment")
        return KeptAnswer(row.status, row.body)

    async def keep(self, project_id: str, route: str, key: str, answer: KeptAnswer) -> None:
        async with self._db.write() as session:
            row = await session.get(Idempotency, (project_id, route, key))
            if row is not None:
                row.status, row.body = answer.status, answer.body

    async def release(self, project_id: str, route: str, key: str) -> None:
        """It was not carried out: the same key may try again."""
        async with self._db.write() as session:
            row = await session.get(Idempotency, (project_id, route, key))
            if row is not None and row.status is None:
                await session.delete(row)

    async def release_all_in_progress(self) -> None:
        """At the start of the only API process: what was in progress died with the last one."""
        async with self._db.write() as session:
            await session.execute(delete(Idempotency).where(Idempotency.status.is_(None)))


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
    return KeyRecord(row.id, row.project_id, row.name, tuple(row.scopes.split()), row.created_at)

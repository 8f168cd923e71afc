"""Annotators: invited by name, entering by the invitation's secret, known by a session's secret from then on.

Secrets are 256 random bits, so a plain SHA-256 of them is safe to store.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import Conflict, NotAllowed, NotFound
from service.store.database import Database, new_id
from service.store.label_records import AnnotatorRecord
from service.store.label_rows import annotator_record
from service.store.label_tables import Annotator, AnnotatorSession, LabelProject, TaskAssignment
from service.store.label_turns import lock_project
from service.store.lookup import find
from service.store.session_lookups import SessionLookups
from service.store.tables import Clock, rfc3339

SESSION_S = 30 * 24 * 3600


def utc_now() -> datetime:
    return datetime.now(UTC)


class Annotators:
    """The people of label projects."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock
        self._sessions = SessionLookups(database, clock)

    async def invite(
        self, project_id: str, label_project_id: str, name: str, secret: str | None = None
    ) -> tuple[AnnotatorRecord, str]:
        """The annotator and the only copy of the invitation's secret. Raises Conflict for a name that is taken.

        Who can make 256 secret bits again for the same invitation gives them as `secret`: it is then made once.
        """
        secret = secret or secrets.token_urlsafe(32)
        async with self._db.write() as session:
            project = await find(session, LabelProject, project_id, label_project_id)
            await lock_project(session, project.id)
            if (made := await session.scalar(_by_secret(secret))) is not None:
                if made.revoked_at or (made.label_project_id, made.name) != (project.id, name):
                    raise Conflict("this invitation was made before, and revoked; load the page again, and invite anew")
                return annotator_record(made), secret
            named = select(Annotator.id).where(
                Annotator.label_project_id == project.id, Annotator.name == name, Annotator.revoked_at.is_(None)
            )
            if (there := await session.scalar(named)) is not None:
                raise Conflict(
                    f"{name!r} is invited to this label project ({there}); revoke that first, or add a letter"
                )
            row = Annotator(
                id=new_id("ann"),
                project_id=project_id,
                label_project_id=project.id,
                name=name,
                invitation_sha256=sha256(secret),
            )
            session.add(row)
            await session.flush()
            return annotator_record(row), secret

    async def annotators(self, project_id: str, label_project_id: str) -> list[AnnotatorRecord]:
        """All of a label project, the revoked ones too, in the order of their invitations."""
        async with self._db.read() as session:
            project = await find(session, LabelProject, project_id, label_project_id)
            query = select(Annotator).where(Annotator.label_project_id == project.id).order_by(Annotator.id)
            return [annotator_record(row) for row in await session.scalars(query)]

    async def annotator(self, project_id: str, label_project_id: str, annotator_id: str) -> AnnotatorRecord:
        """Raises NotFound for one of another label project."""
        async with self._db.read() as session:
            project = await find(session, LabelProject, project_id, label_project_id)
            return annotator_record(await _annotator(session, project, annotator_id))

    async def by_id(self, project_id: str, annotator_id: str) -> AnnotatorRecord:
        """Of any label project. Raises NotFound."""
        query = select(Annotator).where(
            Annotator.project_id == project_id, Annotator.id == annotator_id.replace("\0", "")
        )
        async with self._db.read() as session:
            row = await session.scalar(query)
        if row is None:
            raise NotFound(f"there is no annotator {annotator_id!r} in this project; list those of its label projects")
        return annotator_record(row)

    async def revoke(self, project_id: str, label_project_id: str, annotator_id: str) -> None:
        """The invitation and all sessions end, leases are given back; labels stay."""
        async with self._db.write() as session:
            project = await find(session, LabelProject, project_id, label_project_id)
            await lock_project(session, project.id)
            row = await _annotator(session, project, annotator_id)
            row.revoked_at = row.revoked_at or rfc3339(self._clock())
            await session.execute(delete(AnnotatorSession).where(AnnotatorSession.annotator_id == row.id))
            held = (TaskAssignment.annotator_id == row.id) & TaskAssignment.state.in_(("due", "leased"))
            await session.execute(delete(TaskAssignment).where(held))

    async def invited(self, invitation: str) -> AnnotatorRecord:
        """Whom the invitation is for. Raises NotAllowed for one unknown or revoked."""
        async with self._db.read() as session:
            return annotator_record(await _invited(session, invitation))

    async def enter(self, invitation: str) -> tuple[AnnotatorRecord, str]:
        """A session's secret, a new one on each device. Raises NotAllowed for an invitation unknown or revoked."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        async with self._db.write() as session:
            row = await _invited(session, invitation)
            await session.execute(delete(AnnotatorSession).where(AnnotatorSession.expires_at <= rfc3339(now)))
            expires_at = rfc3339(now + timedelta(seconds=SESSION_S))
            session.add(AnnotatorSession(secret_sha256=sha256(secret), annotator_id=row.id, expires_at=expires_at))
            return annotator_record(row), secret

    async def annotator_of(self, session_secret: str) -> AnnotatorRecord:
        """Who holds the session. Raises NotAllowed for one that is unknown, old or revoked."""
        found = await self._sessions.find(sha256(session_secret))
        if found is None:
            raise NotAllowed("this session has ended; open your invitation's link again")
        return found


def sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _by_secret(invitation: str) -> Select[Annotator]:
    return select(Annotator).where(Annotator.invitation_sha256 == sha256(invitation))


async def _invited(session: AsyncSession, invitation: str) -> Annotator:
    row = await session.scalar(_by_secret(invitation))
    if row is None or row.revoked_at:
        raise NotAllowed("this invitation is unknown or was revoked; ask for a new one")
    return row


async def _annotator(session: AsyncSession, project: LabelProject, id_or_name: str) -> Annotator:
    """Within one label project: by id, or whoever is invited by that name now."""
    asked = id_or_name.replace("\0", "")
    by_name = (Annotator.name == asked) & Annotator.revoked_at.is_(None)
    query = select(Annotator).where(Annotator.label_project_id == project.id, (Annotator.id == asked) | by_name)
    row = await session.scalar(query)
    if row is None:
        raise NotFound(f"there is no annotator {id_or_name!r} in label project {project.name!r}")
    return row

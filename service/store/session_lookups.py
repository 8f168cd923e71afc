"""Whose a session is, asked by many requests at once: those that come while one query is under way share the next.

Each answer is of a query that began after its request came, so a session that was ended opens nothing from then on.
"""

import asyncio
import contextvars
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from service.errors import Interrupted
from service.store.database import Database
from service.store.label_records import AnnotatorRecord
from service.store.label_rows import annotator_record
from service.store.label_tables import Annotator, AnnotatorSession
from service.store.tables import Clock, rfc3339
from service.store.together import others_have_come

_MOST_TOGETHER = 500
Asked = tuple[str, asyncio.Future[AnnotatorRecord | None]]


class SessionLookups:
    """Of one process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        self._asked: list[Asked] = []
        self._work: asyncio.Task[None] | None = None

    async def find(self, secret_sha256: str) -> AnnotatorRecord | None:
        """The session's annotator; None for a session that is unknown, is over, or was revoked."""
        future: asyncio.Future[AnnotatorRecord | None] = asyncio.get_running_loop().create_future()
        self._asked.append((secret_sha256, future))
        if self._work is None or self._work.done():
            # Its own context: it must not read in the transaction of whoever happened to come first.
            self._work = asyncio.create_task(self._answer_all(), context=contextvars.Context())
        return await future

    async def _answer_all(self) -> None:
        batch: list[Asked] = []
        try:
            while self._asked:
                await others_have_come(self._asked)
                batch, self._asked = self._asked[:_MOST_TOGETHER], self._asked[_MOST_TOGETHER:]
                await self._answer(batch)
        finally:  # where all are answered, this answers none
            _fail([*batch, *self._asked], Interrupted("the service stopped before this was looked up; send it again"))
            self._asked = []

    async def _answer(self, batch: Sequence[Asked]) -> None:
        try:
            found = await self._living(sorted({secret for secret, _ in batch}))
        except SQLAlchemyError as error:
            _fail(batch, error)
            return
        for secret, future in batch:
            if not future.done():  # whoever asked may have gone away
                future.set_result(found.get(secret))

    async def _living(self, secrets: Sequence[str]) -> Mapping[str, AnnotatorRecord]:
        query = (
            select(AnnotatorSession.secret_sha256, Annotator)
            .join(Annotator, Annotator.id == AnnotatorSession.annotator_id)
            .where(
                AnnotatorSession.secret_sha256.in_(secrets),
                AnnotatorSession.expires_at > rfc3339(self._clock()),
                Annotator.revoked_at.is_(None),
            )
        )
        async with self._db.read() as session:
            return {secret: annotator_record(row) for secret, row in await session.execute(query)}


def _fail(batch: Sequence[Asked], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)

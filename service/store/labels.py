"""Labels of all kinds: those posted one by one, and the answers to the tasks of label projects."""

from sqlalchemy import select

from service.store.database import Database, new_id
from service.store.label_answers import give_back
from service.store.lookup import find
from service.store.records import LabelRecord
from service.store.tables import Label


class Labels:
    """People's answers, one by one. What an annotator took back is not among them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, new: LabelRecord) -> LabelRecord:
        async with self._db.write() as session:
            row = Label(
                id=new_id("lbl"),
                project_id=new.project_id,
                annotator=new.annotator,
                prompt=new.prompt,
                a=new.a,
                b=new.b,
                choice=new.choice,
                principle_id=new.principle_id,
                comment=new.comment,
            )
            session.add(row)
            await session.flush()
            return label_record(row)

    async def list(self, project_id: str, after: str | None = None, limit: int = 20) -> list[LabelRecord]:
        """Up to `limit` + 1, oldest first."""
        query = select(Label).where(Label.project_id == project_id, Label.undone_at.is_(None))
        if after:
            query = query.where(Label.id > after.replace("\0", "\uffff"))
        async with self._db.read() as session:
            return [label_record(row) for row in await session.scalars(query.order_by(Label.id).limit(limit + 1))]

    async def delete(self, project_id: str, id: str) -> None:
        """A task that it answered waits for somebody's answer again, the same annotator's too."""
        async with self._db.write() as session:
            row = await find(session, Label, project_id, id)
            await give_back(session, row)
            await session.delete(row)


def label_record(row: Label) -> LabelRecord:
    return LabelRecord(
        id=row.id,
        project_id=row.project_id,
        annotator=row.annotator,
        prompt=row.prompt,
        a=row.a,
        b=row.b,
        choice=row.choice,
        principle_id=row.principle_id,
        comment=row.comment,
        created_at=row.created_at,
        task_id=row.task_id,
    )

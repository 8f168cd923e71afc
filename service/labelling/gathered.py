"""All answers of a label project, read from the store page by page."""

from service.store.label_records import LabelProjectRecord, TaskLabel
from service.store.store import Store

_PAGE = 500


async def labels_of(store: Store, project: LabelProjectRecord) -> list[TaskLabel]:
    """Oldest first, skips too; not what was taken back."""
    found: list[TaskLabel] = []
    while page := await store.label_projects.labels_of(
        project.project_id, project.id, found[-1].label_id if found else None, _PAGE
    ):
        found += page[:_PAGE]
    return found

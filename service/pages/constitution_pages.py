"""Constitutions: the list of versions, and the page of one: principles, source, and the difference to another."""

from typing import Annotated

from fastapi import Query, Request, Response

from constitutions.differences import ConstitutionDifference, diff_constitutions
from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution
from constitutions.schema import Constitution
from service.api.state import BackendHere, KeyHere
from service.pages.frame import PER_PAGE, Before, list_page, shown, ui_page, ui_router
from service.pages.wording import Piece, changed_words
from service.store.records import ConstitutionRecord

router = ui_router("/ui/constitutions")


@router.get("")
async def constitutions(request: Request, backend: BackendHere, key: KeyHere, before: Before = None) -> Response:
    """Every version, newest first."""
    found = await backend.store.overview.constitutions(key.project_id, before, PER_PAGE)
    lines = [(record, _law(record)) for record in found]
    page = list_page(lines, request, shown(found)[-1].id if found else None)
    return ui_page(request, "ui_constitutions.html", "constitutions", {"page": page})


@router.get("/{id}")
async def constitution(
    id: str,
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    against: Annotated[str, Query(max_length=128)] = "",
) -> Response:
    """One version; `against` names the one that it is compared with."""
    record = await backend.store.constitutions.get(key.project_id, id)
    versions = await backend.store.overview.versions(key.project_id, record.name)
    law = _law(record)
    context: dict[str, object] = {
        "record": record,
        "law": law,
        "findings": lint_constitution(law),
        "versions": versions,
        "before": _version_before(record, versions),
        "against": None,
    }
    if against:
        other = await backend.store.constitutions.get(key.project_id, against)
        difference = diff_constitutions(_law(other), law)
        context |= {
            "against": other,
            "old_law": _law(other),
            "difference": difference,
            "wordings": _wordings(difference),
        }
    return ui_page(request, "ui_constitution.html", "constitutions", context)


def _law(record: ConstitutionRecord) -> Constitution:
    return load_constitution(record.canonical, name=record.id)


def _version_before(record: ConstitutionRecord, versions: list[ConstitutionRecord]) -> ConstitutionRecord | None:
    """The newest that is older than this one."""
    return next((other for other in versions if other.id < record.id), None)


def _wordings(difference: ConstitutionDifference) -> dict[tuple[str, str], tuple[Piece, ...]]:
    """By principle and field, the words that changed; the header's fields stand under no principle."""
    fields = [("", change) for change in difference.header]
    fields += [(principle.id, change) for principle in difference.changed for change in principle.fields]
    return {(id_, change.field): changed_words(change.before, change.after) for id_, change in fields}

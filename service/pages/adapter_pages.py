"""Adapters: the list, and the page of one with what shaped it and its download."""

from fastapi import Request, Response

from service.api.routes import adapters as api_adapters
from service.api.state import BackendHere, KeyHere
from service.pages.frame import PER_PAGE, Before, list_page, shown, ui_page, ui_router

router = ui_router("/ui/adapters")


@router.get("")
async def adapters(request: Request, backend: BackendHere, key: KeyHere, before: Before = None) -> Response:
    """Newest first."""
    found = await backend.store.overview.adapters(key.project_id, before, PER_PAGE)
    page = list_page(found, request, shown(found)[-1].id if found else None)
    return ui_page(request, "ui_adapters.html", "adapters", {"page": page})


@router.get("/{id}")
async def adapter(id: str, request: Request, backend: BackendHere, key: KeyHere) -> Response:
    """The facts of its manifest."""
    record = await backend.store.adapters.get(key.project_id, id)
    return ui_page(request, "ui_adapter.html", "adapters", {"adapter": record})


@router.get("/{id}/download")
async def download(id: str, backend: BackendHere, key: KeyHere) -> Response:
    """The bundle, as the API gives it."""
    return await api_adapters.download(id, backend, key)

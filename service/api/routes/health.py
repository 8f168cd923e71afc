"""Is it alive, is it ready, and its metrics."""

import os
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel

from service.api.state import BackendHere
from service.schemas import RunStatus

router = APIRouter(tags=["health"])
_STATUSES: tuple[RunStatus, ...] = ("queued", "running", "cancelling")


class Health(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/healthz", operation_id="healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", operation_id="readyz")
async def readyz(backend: BackendHere) -> Health:
    """The database answers too."""
    await backend.store.access.has_keys()
    return Health()


@router.get("/metrics", operation_id="metrics", response_class=Response)
async def metrics(backend: BackendHere) -> Response:
    """Prometheus text: unfinished runs by status, living workers, memory of the API process."""
    registry = CollectorRegistry()
    runs = Gauge("charter_runs", "Unfinished runs.", ["status"], registry=registry)
    for status in _STATUSES:
        runs.labels(status).set(len(await backend.store.runs.in_status((status,))))
    workers = Gauge("charter_workers", "Workers with a lease.", registry=registry)
    workers.set(len(await backend.store.leases.living()))
    memory = Gauge("charter_api_resident_bytes", "Memory of the API process.", registry=registry)
    with open("/proc/self/statm") as file:  # noqa: ASYNC230, PTH123 - the kernel answers from memory
        memory.set(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

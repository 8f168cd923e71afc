"""A run's events: as a list, or as a stream of server-sent events that ends with the run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from service.api.guard import RepeatableRoute
from service.api.state import Backend, BackendHere, KeyHere
from service.api.wire import EventBody, Limit, Page
from service.store.records import EventRecord
from service.store.runs import FINISHED

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=RepeatableRoute)
_POLL_S = 0.5
_HEARTBEAT_S = 15.0
_LAST = 2**31 - 1  # the largest number that the database holds


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Page[EventBody], "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.get("/{id}/events", operation_id="list_events", response_model=None, responses=_ANSWERS)
async def events(
    id: str,
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    after: Annotated[int, Query(ge=0, le=_LAST, description="Only events with a higher number.")] = 0,
    limit: Limit = 100,
    stream: Annotated[bool, Query(description="Stream, as Accept: text/event-stream also asks for.")] = False,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Numbered from 1 without gaps. A stream goes on after Last-Event-ID, and ends when the run does."""
    await backend.store.runs.get(key.project_id, id)
    if last_event_id and last_event_id.isdecimal():
        after = min(int(last_event_id[:20]), _LAST)
    if stream or "text/event-stream" in request.headers.get("accept", ""):
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_stream(id, backend, after), media_type="text/event-stream", headers=headers)
    found = await backend.store.runs.events(id, after, limit + 1)
    data = [event_body(event).model_dump() for event in found[:limit]]
    return JSONResponse({"object": "list", "data": data, "has_more": len(found) > limit})


async def _stream(id: str, backend: Backend, after: int) -> AsyncIterator[str]:
    quiet_s = 0.0
    while True:
        # The status first: an event that comes after it is still read in the next round.
        finished = (await backend.store.runs.get_any(id)).status in FINISHED
        found = await backend.store.runs.events(id, after, 500)
        for event in found:
            after = event.seq
            yield f"id: {event.seq}\nevent: {event.type}\ndata: {event_body(event).model_dump_json()}\n\n"
        if finished and not found:
            return
        if found:
            quiet_s = 0.0
            continue
        await asyncio.sleep(_POLL_S)
        quiet_s += _POLL_S
        if quiet_s >= _HEARTBEAT_S:
            quiet_s = 0.0
            yield ": still here\n\n"


def event_body(event: EventRecord) -> EventBody:
    """An event as the API shows it."""
    names = ("seq", "stage", "type", "at", "done", "total", "eta_s", "data")
    return EventBody(
        id=f"{event.run_id}:{event.seq}", run=event.run_id, **{name: getattr(event, name) for name in names}
    )

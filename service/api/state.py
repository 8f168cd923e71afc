"""What the routes work with, and who is asking."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.sessions import Sessions
from service.artifacts import Artifacts
from service.errors import NotAllowed
from service.settings import Settings
from service.store.label_records import AnnotatorRecord
from service.store.records import KeyRecord
from service.store.runs import Enqueue
from service.store.store import Store

ANNOTATOR_COOKIE = "charter_annotator"


@dataclass(frozen=True, slots=True)
class Backend:
    """The parts that one API process holds. `enqueue` puts a run's job into the transaction that makes the run."""

    store: Store
    artifacts: Artifacts
    settings: Settings
    enqueue: Enqueue
    sessions: Sessions


def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


def key_of(request: Request) -> KeyRecord:
    key: KeyRecord = request.state.key
    return key


def asking(request: Request) -> KeyRecord | AnnotatorRecord:
    """Who asks where the guard lets in both: a key, or an annotator by their session's cookie."""
    who: KeyRecord | AnnotatorRecord = request.state.asking
    return who


# As dependencies they are async: a plain function would be sent to a thread for each request.
async def _backend(request: Request) -> Backend:
    return backend_of(request)


async def _key(request: Request) -> KeyRecord:
    return key_of(request)


async def _asking(request: Request) -> KeyRecord | AnnotatorRecord:
    return asking(request)


async def _annotator(request: Request) -> AnnotatorRecord:
    """Raises NotAllowed for a key."""
    who = asking(request)
    if isinstance(who, AnnotatorRecord):
        return who
    raise NotAllowed("this page is an annotator's; open your invitation's link")


BackendHere = Annotated[Backend, Depends(_backend)]
KeyHere = Annotated[KeyRecord, Depends(_key)]
AskingHere = Annotated[KeyRecord | AnnotatorRecord, Depends(_asking)]
AnnotatorHere = Annotated[AnnotatorRecord, Depends(_annotator)]

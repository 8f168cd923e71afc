"""What the routes work with, and who is asking."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.sessions import Sessions
from service.artifacts import Artifacts
from service.settings import Settings
from service.store.records import KeyRecord
from service.store.runs import Enqueue
from service.store.store import Store


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


BackendHere = Annotated[Backend, Depends(backend_of)]
KeyHere = Annotated[KeyRecord, Depends(key_of)]

"""The application: its parts, its guard, its routes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from service.api.guard import DOCS_FILES, BodyLimit, Guard
from service.api.openapi import describe
from service.api.problems import Problem, install_problems
from service.api.routes import (
    adapters,
    constitutions,
    events,
    health,
    keys,
    label_projects,
    labels,
    models,
    preferences,
    prompts,
    qualification,
    runs,
    set_reports,
)
from service.api.sessions import Sessions, session_secret
from service.api.state import Backend
from service.artifacts import Artifacts
from service.durable import JobQueue, migrate_jobs
from service.pages import (
    adapter_pages,
    constitution_pages,
    label_project_pages,
    labelling,
    preference_pages,
    run_pages,
    set_report_pages,
    sign_in,
)
from service.pages.layout import STATIC, STATIC_PREFIX
from service.settings import Settings
from service.store.store import Store

_ERRORS = {
    status: {"model": Problem, "content": {"application/problem+json": {}}}
    for status in (400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 507)
}
_ABOUT = """Turns a written constitution into an aligned LoRA adapter.

Post a constitution, prompts and (if you have them) people's preferences; start a run; follow its events; download the
adapter with the evidence. Every request but the health checks needs `Authorization: Bearer ck_...`.
"""


def create_app(settings: Settings) -> FastAPI:
    """The API over the store and artifacts that the settings name; it starts no worker."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = Store(settings.database)
        await store.migrate()
        secret = await asyncio.to_thread(session_secret, settings.folder / "session-secret")
        await asyncio.to_thread(migrate_jobs, store.database.url)
        queue = await asyncio.to_thread(JobQueue, store.database.url)
        app.state.backend = Backend(store, Artifacts(settings.artifacts), settings, queue.enqueue, Sessions(secret))
        await store.repeats.forget_old()
        yield
        await asyncio.to_thread(queue.close)
        await store.close()

    # The pages under /docs come with their scripts: no browser of ours asks another host for them.
    app = FastAPIOffline(
        *("/docs", None),
        static_url=DOCS_FILES,
        title="Charter",
        version="1",
        description=_ABOUT,
        lifespan=lifespan,
        responses=_ERRORS,
    )
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    install_problems(app)
    # Added first, it stands inside: what it raises passes no other middleware, and is answered as a problem.
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(Guard, settings=settings)
    for part in (
        labelling,  # first: routes are tried in order, and people wait for these
        health,
        keys,
        models,
        constitutions,
        qualification,
        prompts,
        preferences,
        set_reports,
        labels,
        label_projects,
        events,
        runs,
        adapters,
        sign_in,
        run_pages,
        constitution_pages,
        preference_pages,
        set_report_pages,
        label_project_pages,
        adapter_pages,
    ):
        app.include_router(part.router)
    app.mount(STATIC_PREFIX, STATIC)
    return app

"""Runs: the list, and the page of one with its progress, curves and report."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Form, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, BeforeValidator, TypeAdapter

from service.api.routes import events as api_events
from service.api.state import BackendHere, KeyHere
from service.pages.curves import Chart, charts_of, table_steps
from service.pages.frame import PER_PAGE, Before, list_page, shown, ui_page, ui_router
from service.pages.run_view import effect_of, stage_lines, told
from service.pipeline.report import run_report
from service.schemas import FEWEST_TOKENS_PER_BATCH, ResumedTraining, ResumeRequest, TokensPerBatch
from service.store.records import EventRecord, RunRecord
from service.store.runs import FINISHED

router = ui_router("/ui/runs")
Seq = Annotated[int, Query(ge=0, lt=2**31)]
_TOLD = 100
_CHARTS = TypeAdapter(tuple[Chart, ...])


class LessMemory(BaseModel):
    """What stands beside the button where memory ran out; the token is beside it."""

    tokens_per_batch: Annotated[TokensPerBatch | None, BeforeValidator(lambda text: text or None)] = None
    gradient_checkpointing: bool | None = None


@router.get("")
async def runs(request: Request, backend: BackendHere, key: KeyHere, before: Before = None) -> Response:
    """Newest first."""
    found = await backend.store.overview.runs(key.project_id, before, PER_PAGE)
    lines = [(line, effect_of(line.evaluated)) for line in found]
    page = list_page(lines, request, shown(found)[-1].run.id if found else None)
    return ui_page(request, "ui_runs.html", "runs", {"page": page})


@router.get("/{id}")
async def run(id: str, request: Request, backend: BackendHere, key: KeyHere) -> Response:
    """One run, as far as it has come."""
    store = backend.store
    record = await store.runs.get(key.project_id, id)
    overview, references = store.overview, record.references
    # Read first: the stream goes on after it, so that nothing which happens meanwhile is missing.
    last_seq = await overview.last_seq(record.id)
    finished = await store.runs.stages(record.id)
    adapters = await store.adapters.all_of_run(key.project_id, record.id)
    adapter = next((one for one in adapters if one.last_good_step is None), None)
    charts = charts_of(await overview.metrics(record.id))
    told_events = await overview.told(record.id, _TOLD)
    progress = await overview.progress(record.id)
    context: dict[str, object] = {
        "run": record,
        "is_finished": record.status in FINISHED,
        "constitution": await store.constitutions.get(key.project_id, references.constitution_id),
        "model": await store.models.get(key.project_id, references.model_id),
        "judge": await store.models.get(key.project_id, references.judge_id),
        "stages": stage_lines(record, finished, progress),
        "told": [told(event) for event in told_events],
        "most_told": _TOLD,
        "charts": [(chart, table_steps(chart)) for chart in charts],
        "report": run_report(finished, adapter),
        "adapter": adapter,
        "last_good": [one for one in adapters if one is not adapter],
        "mixed": finished["mix"].result.get("preference_set") if "mix" in finished else None,
        "last_seq": last_seq,
        "less_tokens": _less_tokens(record, told_events),
    }
    return ui_page(request, "ui_run.html", "runs", context)


@router.get("/{id}/events")
async def events(id: str, request: Request, backend: BackendHere, key: KeyHere, after: Seq = 0) -> Response:
    """The stream of the API's route of this name, opened by the session."""
    last = request.headers.get("last-event-id")
    return await api_events.events(id, request, backend, key, after=after, stream=True, last_event_id=last)


@router.get("/{id}/curves")
async def curves(id: str, backend: BackendHere, key: KeyHere) -> Response:
    """What the page's script draws."""
    record = await backend.store.runs.get(key.project_id, id)
    charts = charts_of(await backend.store.overview.metrics(record.id))
    return JSONResponse(_CHARTS.dump_python(charts, mode="json"))


@router.post("/{id}/cancel")
async def cancel(id: str, backend: BackendHere, key: KeyHere) -> Response:
    """As the API's route of this name."""
    await backend.store.runs.cancel(key.project_id, id)
    return RedirectResponse(f"/ui/runs/{id}", 303)


@router.post("/{id}/resume")
async def resume(id: str, form: Annotated[LessMemory, Form()], backend: BackendHere, key: KeyHere) -> Response:
    """As the API's route of this name; a field that is empty or not there leaves the run as it was."""
    changes = ResumeRequest(training=ResumedTraining(**form.model_dump()))
    await backend.store.runs.resume(key.project_id, id, backend.enqueue, changes)
    return RedirectResponse(f"/ui/runs/{id}", 303)


def _less_tokens(run: RunRecord, told_events: Sequence[EventRecord]) -> int | None:
    """The `tokens_per_batch` that the page proposes where memory ran out, half the run's; None where it did not.

    Of the events, newest first, the first of the run itself says why it failed.
    """
    last = next((event for event in told_events if event.stage is None), None)
    if run.status != "failed" or last is None or "cause" not in last.data:
        return None
    return max(FEWEST_TOKENS_PER_BATCH, run.request.training.tokens_per_batch // 2)

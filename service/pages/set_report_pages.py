"""The examination of a preference set as a page: what decides where, what wins beside the matter, what stands twice."""

from collections import OrderedDict
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field, TypeAdapter

from service.api.state import Backend, BackendHere, KeyHere
from service.api.wire import NO_NUL
from service.errors import ServiceError
from service.pages.frame import ui_page, ui_router
from service.pages.layout import show
from service.pages.set_report_view import effects_of, holes_by_principle, kind_rows
from service.set_report.against import examined_against
from service.set_report.child import Examined, examine_set
from service.set_report.findings import SetReport
from service.set_report.options import ReportOptions
from service.store.records import KeyRecord, PreferenceSetRecord

router = ui_router("/ui/preference-sets")
_KEPT, _OFFERED = 32, 100
_REPORT = TypeAdapter(SetReport)
Named = Annotated[str, Field(max_length=128, pattern=NO_NUL)]


class Against(BaseModel):
    """What the set is held against, by id or name. What is not said is the run's own, and what is empty is nothing."""

    constitution: Named | None = None
    prompts: Named | None = None


# What a set's file holds and what it is held against have keys that name their content: what was found stays true.
_examined: OrderedDict[Examined, SetReport] = OrderedDict()


@router.get("/{id}/report")
async def set_report(
    id: str,
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    against: Annotated[Against, Query()],
) -> Response:
    """At once, with the findings to follow. A run's set is held against that run's constitution and prompts."""
    record = await backend.store.preference_sets.get(key.project_id, id)
    context: dict[str, object] = {
        "record": record,
        "chosen": await _chosen(backend, key, record, against),
        "query": request.url.query,
        "constitutions": await backend.store.overview.constitutions(key.project_id, None, _OFFERED),
        "prompt_sets": await backend.store.prompt_sets.list(key.project_id, None, _OFFERED),
    }
    return ui_page(request, "ui_set_report.html", "preference-sets", context)


@router.get("/{id}/report/findings")
async def findings(
    id: str,
    request: Request,
    backend: BackendHere,
    key: KeyHere,
    against: Annotated[Against, Query()],
) -> Response:
    """What the examination found, as a piece of the report's page or a page of its own. The first time takes long."""
    record = await backend.store.preference_sets.get(key.project_id, id)
    is_part = "HX-Request" in request.headers
    try:
        report = await _report(backend, record, against)
    except ServiceError as error:
        if not is_part:
            raise
        return show(request, "ui_set_report_fault.html", {"detail": str(error)})
    context: dict[str, object] = {
        "record": record,
        "report": report,
        "kinds": kind_rows(report),
        "holes": holes_by_principle(report),
        "effects": effects_of(report.bias),
    }
    template = "ui_set_report_part.html" if is_part else "ui_set_report_alone.html"
    return ui_page(request, template, "preference-sets", context)


async def _chosen(backend: Backend, key: KeyRecord, record: PreferenceSetRecord, against: Against) -> Against:
    """The ids of what the form has chosen: nothing said is what the set's run had."""
    store, constitution, prompts = backend.store, against.constitution, against.prompts
    if record.run_id is not None:
        of_run = (await store.runs.get(key.project_id, record.run_id)).references
        constitution = of_run.constitution_id if constitution is None else constitution
        prompts = of_run.prompts_id if prompts is None else prompts
    return Against(
        constitution=(await store.constitutions.get(key.project_id, constitution)).id if constitution else None,
        prompts=(await store.prompt_sets.get(key.project_id, prompts)).id if prompts else None,
    )


async def _report(backend: Backend, record: PreferenceSetRecord, against: Against) -> SetReport:
    what = await examined_against(backend.store, record, against.constitution, against.prompts)
    if what not in _examined:
        found = await examine_set(backend.artifacts, what, ReportOptions())
        _examined[what] = _REPORT.validate_python(found)
        while len(_examined) > _KEPT:
            _examined.popitem(last=False)
    return _examined[what]

"""What a preference set is made of, and, where it is asked for, what is in it: coverage, bias, duplicates, leakage."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import JsonValue

from service.api.state import BackendHere, KeyHere
from service.api.wire import NO_NUL
from service.preference_rows import PreferenceRows
from service.set_report.against import examined_against
from service.set_report.child import examine_set
from service.set_report.options import ReportOptions

router = APIRouter(prefix="/v1/preference-sets", tags=["preference sets"])
_DEFAULTS = ReportOptions()


@router.get("/{id}/report", operation_id="report_preference_set")
async def report(
    id: str,
    backend: BackendHere,
    key: KeyHere,
    full: Annotated[bool, Query(description="Examine the rows too, which takes up to a minute.")] = False,
    constitution: Annotated[
        str | None, Query(max_length=128, pattern=NO_NUL, description="Its principles should be covered.")
    ] = None,
    prompts: Annotated[
        str | None, Query(max_length=128, pattern=NO_NUL, description="Look for its held-out prompts.")
    ] = None,
    clusters: Annotated[int, Query(ge=1, le=100, description="Most kinds of prompts.")] = _DEFAULTS.clusters,
    near: Annotated[float, Query(ge=0.3, le=1, description="Overlap of near-duplicates.")] = _DEFAULTS.near,
    most_rows: Annotated[int, Query(ge=100, le=1_000_000, description="Rows to examine.")] = _DEFAULTS.most_rows,
) -> dict[str, JsonValue]:
    """Sources, weights, prompts, ties and the effective sample size; of a run's set also how it was mixed.

    With `full=true` also coverage, bias, duplicates and leakage. A run's set is held against that run's constitution
    and prompts unless others are named; an empty name is nothing.
    """
    record = await backend.store.preference_sets.get(key.project_id, id)
    stored = await asyncio.to_thread(PreferenceRows, await backend.artifacts.open(record.artifact))
    told = await asyncio.to_thread(stored.counts) | record.report
    if not full:
        return told
    what = await examined_against(backend.store, record, constitution, prompts)
    return told | await examine_set(backend.artifacts, what, ReportOptions(clusters, near, most_rows))

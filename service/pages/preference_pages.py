"""Preference sets: the list, and the page of one with its facts and a browser of its pairs."""

import asyncio
from collections import OrderedDict
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from service.api.state import Backend, BackendHere, KeyHere
from service.pages.frame import PER_PAGE, Before, list_page, shown, ui_page, ui_router
from service.pages.layout import show
from service.pages.pair_verdicts import verdicts_on
from service.pages.set_facts import BINS, UNSURE_WITHIN, SetFacts, facts_of
from service.preference_rows import Found, PreferenceRows, RowFilter
from service.store.records import PreferenceSetRecord
from training.rows import Source

router = ui_router("/ui/preference-sets")
_PAIRS = 10
# A search through more is continued by the reader: nobody waits for a million rows at once.
_MOST_SEARCHED = 100_000
_KEPT_FACTS = 64
# A set's file is named by its hash and never changes: what was counted once stays true.
_counted: OrderedDict[str, SetFacts] = OrderedDict()
Word = Annotated[str, Field(max_length=200)]


class PairQuery(BaseModel):
    """The form over the pairs, and the row at which the page begins."""

    source: Word = ""
    principle: Word = ""
    unsure: bool = False
    text: Word = ""
    begin: Annotated[int, Field(ge=0, lt=2**31)] = 0


@router.get("")
async def preference_sets(request: Request, backend: BackendHere, key: KeyHere, before: Before = None) -> Response:
    """Newest first."""
    found = await backend.store.overview.preference_sets(key.project_id, before, PER_PAGE)
    page = list_page(found, request, shown(found)[-1].id if found else None)
    return ui_page(request, "ui_preference_sets.html", "preference-sets", {"page": page})


@router.get("/{id}")
async def preference_set(
    id: str, request: Request, backend: BackendHere, key: KeyHere, asked: Annotated[PairQuery, Query()]
) -> Response:
    """Its facts, and the pairs from row `begin` on that the form asks for."""
    record = await backend.store.preference_sets.get(key.project_id, id)
    known = next((one for one in get_args(Source) if one == asked.source), None)
    unsure = UNSURE_WITHIN if asked.unsure else None
    wanted = RowFilter(known, asked.principle.strip() or None, unsure, asked.text.strip() or None)
    page = await _found(backend, record, wanted, asked.begin)
    context: dict[str, object] = {
        "record": record,
        "facts": await _facts(backend, record),
        "bin_width": 0.5 / BINS,
        "sources": get_args(Source),
        "wanted": wanted,
        "wants_all": wanted == RowFilter(),
        "page": page,
        "begin": asked.begin,
        "next": _address(request, page.next) if page.next is not None else None,
        "first": _address(request, 0) if asked.begin else None,
        "unsure_to": 0.5 + UNSURE_WITHIN,
    }
    return ui_page(request, "ui_preference_set.html", "preference-sets", context)


@router.get("/{id}/pairs/{number}/verdicts")
async def verdicts(id: str, number: int, request: Request, backend: BackendHere, key: KeyHere) -> Response:
    """The verdicts on the pair in row `number`, as the judge gave them: a part of a page, or one of its own."""
    record = await backend.store.preference_sets.get(key.project_id, id)
    page = await _found(backend, record, RowFilter(), number, limit=1)
    stages = await backend.store.runs.stages(record.run_id) if record.run_id else {}
    pair = page.pairs[0] if page.pairs else None
    lines = await verdicts_on(pair.row.id, pair.row.chosen, stages, backend.artifacts) if pair else ()
    context: dict[str, object] = {"record": record, "number": number, "pair": pair, "lines": lines}
    if "hx-request" in request.headers:
        return show(request, "ui_verdicts_part.html", context)
    return ui_page(request, "ui_verdicts.html", "preference-sets", context)


async def _found(
    backend: Backend, record: PreferenceSetRecord, wanted: RowFilter, begin: int, limit: int = _PAIRS
) -> Found:
    stored = await _stored(backend, record)
    return await asyncio.to_thread(stored.search, wanted, begin, limit, _MOST_SEARCHED)


async def _facts(backend: Backend, record: PreferenceSetRecord) -> SetFacts:
    if record.artifact not in _counted:
        _counted[record.artifact] = await asyncio.to_thread(facts_of, await _stored(backend, record))
        while len(_counted) > _KEPT_FACTS:
            _counted.popitem(last=False)
    return _counted[record.artifact]


async def _stored(backend: Backend, record: PreferenceSetRecord) -> PreferenceRows:
    return await asyncio.to_thread(PreferenceRows, await backend.artifacts.open(record.artifact))


def _address(request: Request, begin: int) -> str:
    """This page with its filter, from another row on."""
    others = {name: value for name, value in request.query_params.items() if name != "begin" and value}
    return f"{request.url.path}?{urlencode({**others, 'begin': begin})}"

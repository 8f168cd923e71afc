"""Is a judge fit for a constitution? Asked and answered in one request, so it is bounded: 200 pairs, endpoints only.

Left out: judges that are folders, which the service serves inside runs alone (every run qualifies its judge, and its
report says how), and larger sets: `charter judge qualify` has no bound. Nothing is stored, so nothing can be lost.
"""

from fastapi import APIRouter

from constitutions.loader import load_constitution
from constitutions.schema import Constitution
from judges.client import ChatClient, ClientSettings
from judges.labelled_sets import LabelledPair, drawn
from service.api.guard import RepeatableRoute
from service.api.state import Backend, BackendHere, KeyHere
from service.engines import remote_endpoint
from service.errors import InvalidInput
from service.exchange.examination import Examination, examine
from service.exchange.labelled import pairs_of_rows, under_principle
from service.protocols import protocol_named
from service.schemas import MOST_PAIRS, QualifyRequest
from service.shards import read_shard
from training.rows import PreferenceRow

router = APIRouter(prefix="/v1/constitutions", tags=["constitutions"], route_class=RepeatableRoute)
# One person waits for the answer: who does not answer within a minute has abstained.
_PATIENCE = ClientSettings(timeout_s=30.0, attempts=2, deadline_s=60.0)


@router.post("/{id}/qualify", operation_id="qualify_judge")
async def qualify(id: str, asked: QualifyRequest, backend: BackendHere, key: KeyHere) -> Examination:
    """Examine a judge by URL on the constitution's examples, and on people's pairs; at most 200, both orders each."""
    record = await backend.store.constitutions.get(key.project_id, id)
    law = load_constitution(record.source, name=record.name)
    judge = await backend.store.models.get(key.project_id, asked.judge)
    if judge.url is None:
        raise InvalidInput(
            f"judge: {judge.name!r} is a folder, which is served inside runs only; a run's report has its "
            "qualification, or serve it yourself and use `charter judge qualify`"
        )
    protocol = protocol_named(asked.protocol, backend.settings.protocols)
    pairs = await _pairs(asked, law, backend, key.project_id)
    wanted = len(pairs) + sum(len(principle.examples) for principle in law.judged)
    if wanted > MOST_PAIRS:
        raise InvalidInput(
            f"{wanted} pairs are to be judged, and one request may ask for {MOST_PAIRS}; lower `limit`, or use "
            "`charter judge qualify`, which has no bound"
        )
    async with ChatClient([remote_endpoint(judge)], _PATIENCE) as client:
        return await examine(client, law, protocol, pairs)


async def _pairs(
    asked: QualifyRequest, law: Constitution, backend: Backend, project_id: str
) -> tuple[LabelledPair, ...]:
    if asked.set is None:
        return under_principle((), law, asked.principle)
    record = await backend.store.preference_sets.get(project_id, asked.set)
    rows = await read_shard(backend.artifacts, record.artifact, PreferenceRow)
    slice = f"set {record.name}"
    return under_principle(drawn(pairs_of_rows(rows, slice, slice), asked.limit, asked.seed), law, asked.principle)

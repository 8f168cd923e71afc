"""What an examination of a judge found, as the API answers it and `charter judge qualify --json` writes it."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from constitutions.canonical import constitution_sha256
from constitutions.schema import Constitution
from judges.client import ChatClient
from judges.labelled_sets import EXAMPLES, LabelledPair
from judges.measures import Measures
from judges.protocols.probe import probe_labels
from judges.protocols.protocol import JudgeProtocol
from judges.qualify import WEIGHTED, PrincipleQualification, Standing, qualify


class ExaminedSlice(BaseModel):
    """One principle on its own examples (`slice: examples`) or on one slice of a labelled set.

    `weighs` says whether a run would count the judge's verdicts on the principle; it is null for a set, since the
    examples alone decide. A check has no `measures`: its `verdict` says whether it passes its own examples.
    """

    model_config = ConfigDict(frozen=True)
    principle_id: str
    slice: str
    kind: Literal["judged", "checked"]
    verdict: Standing
    weighs: bool | None
    examples: int
    measures: Measures | None


class Examination(BaseModel):
    """A judge on a constitution. A statistic is {value, reason}: where it has no value, the reason says why."""

    model_config = ConfigDict(frozen=True)
    judge: str
    template_sha256: str
    constitution: str
    constitution_sha256: str
    slices: tuple[ExaminedSlice, ...]


async def examine(
    client: ChatClient, constitution: Constitution, protocol: JudgeProtocol, pairs: Sequence[LabelledPair]
) -> Examination:
    """Raises LabelsMissing where the judge cannot write what the protocol reads."""
    if any(principle.examples for principle in constitution.judged) or pairs:
        await probe_labels(client, protocol)
    found = await qualify(client, constitution, protocol, pairs)
    return Examination(
        judge=client.model,
        template_sha256=protocol.template_sha256,
        constitution=constitution.name,
        constitution_sha256=constitution_sha256(constitution),
        slices=tuple(_slice(one) for one in (*found.per_principle, *found.per_slice)),
    )


def _slice(one: PrincipleQualification) -> ExaminedSlice:
    return ExaminedSlice(
        principle_id=one.principle_id,
        slice=one.slice,
        kind=one.kind,
        verdict=one.verdict,
        weighs=one.verdict in WEIGHTED if one.slice == EXAMPLES else None,
        examples=one.examples,
        measures=one.measures,
    )

"""What the demo leaves behind: `out/demo/summary.json`. `docs/summary.schema.json` is generated from these classes.

`python -m service.demo.summary > docs/summary.schema.json` writes the schema; a test holds the two equal.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from judges.qualify import WEIGHTED
from service.demo.errors import DemoError
from service.schemas import STAGES

Share = Annotated[float, Field(ge=0, le=1)]
Difference = Annotated[float, Field(ge=-1, le=1)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of the summary: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(Part):
    """What the pipeline made. An abstention is a verdict that the judge did not give; a flip changed with the order."""

    samples: Count
    revisions: Count
    verdicts: Count
    abstentions: Count
    flips: Count


class Preferences(Part):
    """The pairs trained on, by source; `human` of `human_available` uploaded pairs were drawn."""

    human: Count
    ai: Count
    check: Count
    human_available: Count


class PrincipleOutcome(Part):
    """One principle on the held-out prompts, as fractions.

    Checked and joint: the rate of replies that pass. Judged: 0.5 before, the win rate over the base after.
    `low` and `high` bound the lift (after - before) with 95 % confidence, clustered by prompt.
    """

    id: str
    kind: Literal["judged", "checked", "joint"]
    before: Share
    after: Share
    low: Difference
    high: Difference


class JudgeStanding(Part):
    """How the judge did on one principle's examples. `weight_allowed` is false where its verdicts weigh 0."""

    principle_id: str
    kind: Literal["judged", "checked"]
    verdict: Literal["trusted", "weak", "unproven", "at_chance", "harmful"]
    examples: Count
    accuracy: Share
    low: Share
    high: Share
    weight_allowed: bool


class JudgeQualification(Part):
    """The judge's examination on the constitution's own examples."""

    judge: str
    per_principle: tuple[JudgeStanding, ...]


class AdapterFile(Part):
    """The downloaded bundle, and the SHA-256 of its bytes."""

    path: str
    sha256: Sha256


class Summary(Part):
    """The whole job in one file."""

    stage_s: dict[str, Annotated[float, Field(ge=0)]]
    counts: Counts
    preferences: Preferences
    principles: tuple[PrincipleOutcome, ...]
    qualification: JudgeQualification
    adapter: AdapterFile
    peak_memory_bytes: Count


PartT = TypeVar("PartT", bound=Part)
_Object = TypeAdapter(dict[str, JsonValue])
_Objects = TypeAdapter(list[dict[str, JsonValue]])


def summary_of(report: Mapping[str, JsonValue], adapter: AdapterFile, own_s: Mapping[str, float]) -> Summary:
    """The run's report as a summary; `own_s` is what the demo itself took around the run, in seconds."""
    try:
        examined = _Object.validate_python(report["qualification"])
        return Summary(
            stage_s=_in_order(TypeAdapter(dict[str, float]).validate_python(report["stage_s"])) | dict(own_s),
            counts=_part(Counts, report["counts"]),
            preferences=_part(Preferences, report["preferences"]),
            principles=tuple(_part(PrincipleOutcome, one) for one in _Objects.validate_python(report["principles"])),
            qualification=JudgeQualification(
                judge=str(examined["judge"]),
                per_principle=tuple(
                    _part(JudgeStanding, one | {"weight_allowed": one["verdict"] in WEIGHTED})
                    for one in _Objects.validate_python(examined["per_principle"])
                ),
            ),
            adapter=adapter,
            peak_memory_bytes=TypeAdapter(int).validate_python(report["peak_memory_bytes"]),
        )
    except (KeyError, ValidationError) as error:
        raise DemoError(f"the run's report lacks what the summary needs: {error}; is the service newer?") from error


def read_summary(file: Path) -> Summary:
    """Read a summary that a demo left."""
    try:
        return Summary.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DemoError(f"{file}: {error.strerror}; run `charter demo` first, or name its summary.json") from error
    except ValidationError as error:
        raise DemoError(f"{file}: not a summary of this version: {error}") from error


def _in_order(stage_s: Mapping[str, float]) -> dict[str, float]:
    """The stages as the run went through them."""
    return {stage: stage_s[stage] for stage in STAGES if stage in stage_s}


def _part(kind: type[PartT], value: JsonValue) -> PartT:
    """What the summary keeps of a part of the report, which may say more."""
    found = _Object.validate_python(value)
    return kind.model_validate({name: found[name] for name in kind.model_fields if name in found})


def summary_schema() -> str:
    """The JSON Schema as it stands in docs/."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Summary.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(summary_schema())

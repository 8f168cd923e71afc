"""The belief, weight and source of a row, in the free mapping that tasks of labelling tools carry along."""

from dataclasses import dataclass

from pydantic import JsonValue

from service.exchange.formats.pair import number_within
from training.rows import PreferenceRow, Source


@dataclass(frozen=True, slots=True)
class Extras:
    """`p_chosen` None: the record does not say."""

    p_chosen: float | None
    weight: float
    machine: Source


def write_extras(row: PreferenceRow) -> dict[str, JsonValue]:
    return {"source": row.source, "p_chosen": row.p_chosen, "weight": row.weight}


def read_extras(value: JsonValue, what: str) -> Extras:
    """`machine` is the source of what no person said: ai, or check where the record says so. Raises ValueError."""
    given = value if isinstance(value, dict) else {}
    belief = given.get("p_chosen")
    return Extras(
        None if belief is None else number_within(belief, 1.0, f"{what}.p_chosen", 0.5, 1.0),
        number_within(given.get("weight"), 1.0, f"{what}.weight", 0.0, 1e6),
        "check" if given.get("source") == "check" else "ai",
    )

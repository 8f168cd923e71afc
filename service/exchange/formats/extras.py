"""The belief, weight and source of a row, in the free mapping that tasks of labelling tools carry along."""

from dataclasses import dataclass

from pydantic import JsonValue

from service.exchange.formats.pair import number_within
from training.rows import PreferenceRow, Source

# The tag of a row whose labeller saw both replies in a known order: first or second.
CHOSEN_SHOWN = "chosen_shown"


@dataclass(frozen=True, slots=True)
class Extras:
    """`p_chosen` None: the record does not say. Sides are unknown where we wrote a row that came without them."""

    p_chosen: float | None
    weight: float
    machine: Source
    sides_known: bool


def write_extras(row: PreferenceRow) -> dict[str, JsonValue]:
    sides: JsonValue = "shown" if CHOSEN_SHOWN in dict(row.tags) else "unknown"
    return {"source": row.source, "p_chosen": row.p_chosen, "weight": row.weight, "sides": sides}


def chosen_second(row: PreferenceRow) -> bool:
    """Whether the labeller saw the rejected reply first. Of a tie neither is better, and they stand as they are."""
    return row.p_chosen != 0.5 and dict(row.tags).get(CHOSEN_SHOWN) == "second"


def side_tags(*, first: bool, extras: Extras) -> tuple[tuple[str, str], ...]:
    """The place of the chosen reply, where it is known."""
    return ((CHOSEN_SHOWN, "first" if first else "second"),) if extras.sides_known else ()


def read_extras(value: JsonValue, what: str) -> Extras:
    """`machine` is the source of what no person said: ai, or check where the record says so. Raises ValueError."""
    given = value if isinstance(value, dict) else {}
    belief = given.get("p_chosen")
    return Extras(
        None if belief is None else number_within(belief, 1.0, f"{what}.p_chosen", 0.5, 1.0),
        number_within(given.get("weight"), 1.0, f"{what}.weight", 0.0, 1e6),
        "check" if given.get("source") == "check" else "ai",
        given.get("sides") != "unknown",
    )

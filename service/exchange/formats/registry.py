"""The formats by name: how each is read, written, told from a first line, and what it can hold."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import pyarrow as pa
from pydantic import JsonValue

from service.exchange.formats import (
    argilla,
    charter,
    demonstrations,
    hh_rlhf,
    label_studio,
    nemo_aligner,
    openai,
    trl,
    ultrafeedback,
)
from service.exchange.formats.pair import Pair
from service.exchange.records import Line
from training.rows import PreferenceRow

Format = Literal[
    "charter",
    "trl",
    "trl-standard",
    "trl-implicit",
    "trl-implicit-standard",
    "openai",
    "hh-rlhf",
    "ultrafeedback",
    "argilla",
    "label-studio",
    "nemo-aligner",
    "demonstrations",
]
FORMATS: tuple[Format, ...] = get_args(Format)
Readable = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Layout:
    """One format. `schema` names the columns of its tables, in their order.

    `read` gives a pair, or the row itself where a line says all of it. `write` takes rows that the format holds.
    `only_ties` is true where all that the format cannot hold is a tie, which is quick to count; `by_pair` where a line
    is for all rows on one pair, which must come to `write` together.
    """

    read: Callable[[Readable], Iterator[PreferenceRow | Pair]]
    write: Callable[[Iterable[PreferenceRow]], Iterator[Readable]]
    holds: Callable[[PreferenceRow], bool]
    schema: pa.Schema
    only_ties: bool = False
    by_pair: bool = False


def _everything(row: PreferenceRow) -> bool:
    return True


def _each(write: Callable[[PreferenceRow], Readable]) -> Callable[[Iterable[PreferenceRow]], Iterator[Readable]]:
    """A line for each row."""
    return partial(map, write)


def _read_ours(value: Readable) -> Iterator[PreferenceRow]:
    yield charter.read(value, "row")


LAYOUTS: Mapping[Format, Layout] = {
    "charter": Layout(_read_ours, _each(charter.write), _everything, charter.SCHEMA),
    "trl": Layout(trl.read, _each(trl.write), trl.holds, trl.CONVERSATIONAL, only_ties=True),
    "trl-standard": Layout(trl.read, _each(trl.write_standard), trl.holds_standard, trl.STANDARD),
    "trl-implicit": Layout(trl.read, _each(trl.write_implicit), trl.holds, trl.IMPLICIT, only_ties=True),
    "trl-implicit-standard": Layout(
        trl.read, _each(trl.write_implicit_standard), trl.holds_implicit_standard, trl.IMPLICIT_STANDARD
    ),
    "openai": Layout(openai.read, _each(openai.write), trl.holds, openai.SCHEMA, only_ties=True),
    "hh-rlhf": Layout(hh_rlhf.read, _each(hh_rlhf.write), hh_rlhf.holds, hh_rlhf.SCHEMA),
    "ultrafeedback": Layout(ultrafeedback.read, _each(ultrafeedback.write), ultrafeedback.holds, ultrafeedback.SCHEMA),
    "argilla": Layout(argilla.read, argilla.write, _everything, argilla.SCHEMA, by_pair=True),
    "label-studio": Layout(
        label_studio.read, label_studio.write, label_studio.holds, label_studio.SCHEMA, by_pair=True
    ),
    "nemo-aligner": Layout(nemo_aligner.read, _each(nemo_aligner.write), nemo_aligner.holds, nemo_aligner.SCHEMA),
    "demonstrations": Layout(
        demonstrations.read, _each(demonstrations.write), demonstrations.holds, demonstrations.SCHEMA
    ),
}


def sniff_format(line: Line) -> Format:
    """The format of a first line. Raises ValueError that says what was seen."""
    keys = set(line.value)
    if {"id", "prompt_id", "source", "chosen", "rejected"} <= keys:
        return "charter"
    if "preferred_output" in keys:
        return "openai"
    if "fields" in keys and keys & {"responses", "suggestions"}:
        return "argilla"
    if "data" in keys and keys & {"annotations", "predictions"}:
        return "label-studio"
    if {"chosen_response", "rejected_response"} <= keys:
        return "nemo-aligner"
    if {"instruction", "completions"} <= keys:
        return "ultrafeedback"
    if {"chosen", "rejected"} <= keys:
        chosen = line.value["chosen"]
        if isinstance(chosen, str) and chosen.startswith("\n\nHuman:") and "prompt" not in keys:
            return "hh-rlhf"
        return "ultrafeedback" if {"score_chosen", "score_rejected"} <= keys else "trl"
    if "messages" in keys or {"prompt", "completion"} <= keys or keys >= demonstrations.OURS:
        return "demonstrations"
    raise ValueError(
        f"no known format has the keys {', '.join(sorted(keys))}; name it with ?format= ({', '.join(FORMATS)})"
    )

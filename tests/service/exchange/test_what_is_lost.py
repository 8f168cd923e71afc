"""What each format loses of a row with all fields: exactly what docs/exchange.md says, and nothing beside it."""

import dataclasses
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import Message
from service.exchange.export import MEDIA_TYPES, FileKind, export_chunks
from service.exchange.formats.registry import FORMATS, Format
from service.exchange.notices import Notice
from service.exchange.preferences import holds, read_preferences
from tests.service.exchange.test_files_out import ODD
from tests.service.exchange.test_preferences_out import LETTERS, PROMPTS, TEXT
from training.rows import PreferenceRow

DOCS = (Path(__file__).parents[3] / "docs" / "exchange.md").read_text()
FIELDS = [field.name for field in dataclasses.fields(PreferenceRow)]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def documented() -> dict[str, set[str]]:
    """The last column of the formats' table; `who` and `belief` are lists of fields below it."""
    groups = {
        name: set(re.findall(r"`(\w+)`", told.split(".")[0]))
        for name, told in re.findall(r"^- \*\*(who|belief)\*\*: (.*)$", DOCS, re.MULTILINE)
    }
    table = DOCS.split("\n- **who**")[0]
    rows = [line.strip("| ").split("|") for line in table.splitlines() if re.match(r"\| `[\w-]+` \|", line)]
    lost = {cells[0].strip(" `"): re.findall(r"\w+", cells[-1]) for cells in rows}
    return {format: set().union(*(groups[name] for name in names)) for format, names in lost.items()}


LOST = documented()
FULL = PreferenceRow(
    id="row_1",
    prompt_id="prompt_1",
    prompt=(Message("user", "Why?"),),
    chosen="Because.",
    rejected="Hm.",
    p_chosen=0.75,
    weight=0.5,
    source="check",
    judge="brief",
    annotators=("ann_1", "ann_2"),
    constitution_sha256="a" * 64,
    per_principle=(("brief", 1.0), ("kind", 0.25)),
    origin="run_1, shard 2",
    tags=(("chosen_shown", "second"), ("topic", "sky")),
)


@st.composite
def whole_rows(draw: st.DrawFn) -> PreferenceRow:
    chosen, rejected = draw(st.lists(TEXT | ODD | st.just(""), min_size=2, max_size=2, unique=True))
    return PreferenceRow(
        id=draw(NAMES),
        prompt_id=draw(NAMES),
        prompt=draw(PROMPTS),
        chosen=chosen,
        rejected=rejected,
        p_chosen=draw(st.floats(0.5, 1)),
        weight=draw(st.floats(0, 1e6)),
        source=draw(st.sampled_from(["human", "ai", "check"])),
        judge=draw(LETTERS),
        annotators=draw(st.lists(NAMES, max_size=3).map(tuple)),
        constitution_sha256=draw(LETTERS),
        per_principle=draw(st.lists(st.tuples(LETTERS, st.floats(0, 1)), max_size=3).map(tuple)),
        origin=draw(TEXT),
        tags=draw(st.dictionaries(LETTERS | st.just("chosen_shown"), LETTERS, max_size=2).map(dict.items).map(tuple)),
    )


def back(row: PreferenceRow, format: Format, kind: FileKind) -> PreferenceRow:
    (again,) = read_preferences(
        b"".join(export_chunks([[row]], format, kind)), f"x.{kind}", MEDIA_TYPES[kind], format, "upload"
    )
    return again


def changed(row: PreferenceRow, again: PreferenceRow) -> set[str]:
    return {name for name in FIELDS if getattr(row, name) != getattr(again, name)}


def test_the_table_names_every_format() -> None:
    assert set(LOST) == set(FORMATS) and {name for names in LOST.values() for name in names} <= set(FIELDS)


def test_the_docs_name_every_notice() -> None:
    table = DOCS.split("| notice |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(Notice))


@pytest.mark.parametrize("kind", MEDIA_TYPES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_field_in_the_docs_list_is_lost_and_no_other(format: Format, kind: FileKind) -> None:
    row = replace(FULL, rejected="") if format == "demonstrations" else FULL
    assert holds(format, row)
    assert changed(row, back(row, format, kind)) == LOST[format]


@pytest.mark.parametrize("kind", MEDIA_TYPES)
@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=12)
@given(row=whole_rows())
def test_no_row_loses_more(format: Format, kind: FileKind, row: PreferenceRow) -> None:
    if holds(format, row):
        assert changed(row, back(row, format, kind)) <= LOST[format]


@pytest.mark.parametrize("format", ["trl", "trl-standard", "trl-implicit", "trl-implicit-standard"])
def test_a_margin_is_all_that_stays_of_trls_tags(format: Format) -> None:
    assert back(replace(FULL, tags=(("margin", "1.5"), ("topic", "sky"))), format, "csv").tags == (("margin", "1.5"),)

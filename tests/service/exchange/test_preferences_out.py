"""Out and in again: nothing is lost that the format can hold, and what it cannot hold is left out, not bent."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.records import Conversation, Message
from service.exchange.formats.pair import Pair
from service.exchange.formats.registry import FORMATS, Format
from service.exchange.preferences import holds, human_row, read_preferences, write_preferences
from training.rows import PreferenceRow, conversation_id

LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MARKS = st.sampled_from(["\n\nHuman: ", "\n\nAssistant: ", "\u2028", "\u0085", "\r\n", "\0", '"', "\\ud800", " "])
TEXT = st.lists(LETTERS | MARKS, max_size=4).map("".join)
SAID = TEXT.filter(lambda text: text.strip() != "")
TURNS = st.lists(
    st.one_of(
        st.builds(Message, st.just("user"), SAID),
        st.builds(Message, st.just("assistant"), TEXT),
        st.builds(Message, st.just("system"), SAID),
    ),
    max_size=3,
)
PROMPTS = st.builds(lambda before, last: (*before, Message("user", last)), TURNS, SAID)
NAMES = st.lists(st.text("abcdef_1", min_size=1, max_size=6), max_size=2, unique=True).map(tuple)


@st.composite
def pairs(draw: st.DrawFn) -> PreferenceRow:
    chosen, rejected = draw(st.lists(TEXT, min_size=2, max_size=2, unique=True))
    belief = draw(st.sampled_from([0.5, 1.0]))
    return human_row(Pair(draw(PROMPTS), chosen, rejected, belief, 1.0, draw(NAMES)), "upload")


def out_and_in(row: PreferenceRow, format: Format) -> list[PreferenceRow]:
    text = "".join(write_preferences([row], format))
    assert text.count("\n") == 1
    return read_preferences(text.encode(), "", "", format, "upload")


def matter(row: PreferenceRow) -> tuple[Conversation, str, str, float]:
    return row.prompt, row.chosen, row.rejected, row.p_chosen


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=60)
@given(row=pairs())
def test_out_and_in_again(format: Format, row: PreferenceRow) -> None:
    if not holds(format, row):
        assert list(write_preferences([row], format)) == []
        return
    back = out_and_in(row, format)
    assert {matter(one) for one in back} == {matter(row)}
    if format in ("charter", "argilla", "label-studio"):
        assert {name for one in back for name in one.annotators} == set(row.annotators)


@settings(deadline=None, max_examples=60)
@given(
    row=pairs(),
    belief=st.floats(0.5, 1),
    weight=st.floats(0, 1e6),
    source=st.sampled_from(["human", "ai", "check"]),
    answers=st.lists(st.tuples(LETTERS, st.floats(0, 1)), max_size=3).map(tuple),
    tags=st.dictionaries(LETTERS, LETTERS, max_size=2).map(lambda tags: tuple(tags.items())),
)
def test_our_own_format_holds_everything(row, belief, weight, source, answers, tags) -> None:
    whole = PreferenceRow(
        id=row.id,
        prompt_id=conversation_id(row.prompt),
        prompt=row.prompt,
        chosen=row.chosen,
        rejected=row.rejected,
        p_chosen=belief,
        weight=weight,
        source=source,
        judge="big",
        annotators=row.annotators,
        constitution_sha256="a" * 64,
        per_principle=answers,
        origin="run_1, shard 2",
        tags=tags,
    )
    assert out_and_in(whole, "charter") == [whole]


def row_of(*turns: Message, chosen: str = "Because.", rejected: str = "Hm.", belief: float = 1.0) -> PreferenceRow:
    return human_row(Pair(turns, chosen, rejected, belief), "upload")


WHY = Message("user", "Why?")
TEXTS = {"trl-standard", "trl-implicit-standard"}  # these hold a prompt of one turn
PAIRS = set(FORMATS) - {"demonstrations"}


@pytest.mark.parametrize(
    ("row", "holders"),
    [
        (row_of(WHY), PAIRS),
        (row_of(WHY, rejected="But."), PAIRS - {"trl-implicit-standard"}),
        (row_of(Message("user", "Why"), chosen=" not?", rejected=" so?"), PAIRS - {"hh-rlhf"}),
        (row_of(WHY, belief=0.5), {"charter", "ultrafeedback", "argilla", "nemo-aligner"}),
        (row_of(Message("system", "Be kind."), WHY), PAIRS - {"hh-rlhf"} - TEXTS),
        (row_of(WHY, chosen="Because.\n\nHuman: thanks"), PAIRS - {"hh-rlhf"}),
        (row_of(Message("assistant", "Hello!"), WHY), PAIRS - {"hh-rlhf", "ultrafeedback"} - TEXTS),
        (row_of(WHY, rejected=""), set(FORMATS)),
        (
            row_of(WHY, Message("assistant", "<extra_id_1>User\nx"), WHY),
            PAIRS - {"nemo-aligner"} - TEXTS,
        ),
    ],
)
def test_who_holds_what(row: PreferenceRow, holders: set[str]) -> None:
    assert {format for format in FORMATS if holds(format, row)} == holders


def test_the_layouts_of_the_others() -> None:
    # As their own documents show them: TRL "preference, conversational"; OpenAI "preference fine-tuning".
    row = row_of(WHY)
    (trl,) = write_preferences([row], "trl")
    assert json.loads(trl) == {
        "prompt": [{"role": "user", "content": "Why?"}],
        "chosen": [{"role": "assistant", "content": "Because."}],
        "rejected": [{"role": "assistant", "content": "Hm."}],
    }
    (openai,) = write_preferences([row], "openai")
    assert json.loads(openai) == {
        "input": {"messages": [{"role": "user", "content": "Why?"}], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [{"role": "assistant", "content": "Because."}],
        "non_preferred_output": [{"role": "assistant", "content": "Hm."}],
    }
    (hh,) = write_preferences([row], "hh-rlhf")
    assert json.loads(hh) == {
        "chosen": "\n\nHuman: Why?\n\nAssistant: Because.",
        "rejected": "\n\nHuman: Why?\n\nAssistant: Hm.",
    }

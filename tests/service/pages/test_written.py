"""What models and people wrote, as a page shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pages.markdown import markdown
from service.pages.written import SHOWN_CHARACTERS, stripped, visible, written


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\x00b\x1b[31m\x08", "a\u2400b\u241b[31m\u2408"),
        ("\x7f", "\u2421"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("\x85\x9b", "\ufffd\ufffd"),
        ("\ud800", "\ufffd"),  # half of a pair: no page could be sent with it
        ("\u202eright to left", "\u202eright to left"),  # its box isolates it
    ],
)
def test_control_characters_are_seen(text: str, seen: str):
    assert visible(text) == seen


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_sent_and_is_seen_once(text: str):
    visible(text).encode()
    assert visible(visible(text)) == visible(text)
    stripped(text).encode()
    assert stripped(stripped(text)) == stripped(text)


@given(st.text(max_size=50), st.integers(0, 3))
def test_a_long_text_loses_nothing(text: str, beyond: int):
    long = "x" * (SHOWN_CHARACTERS - 2 + beyond) + text
    assert written(long).first + written(long).rest == visible(long)
    assert len(written(long).first) <= SHOWN_CHARACTERS


def test_a_form_brings_no_control_characters():
    assert stripped("one\r\ntwo\x00\x1b\tthree") == "one\ntwo\tthree"


def test_a_guideline_is_markdown():
    html = markdown("# How\n\n- *short*\n- `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<h3>How</h3>" in html
    assert "<em>short</em>" in html
    assert "<td>2</td>" in html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](<data:text/html,<script>alert(1)</script>>)",
        "![x](https://elsewhere.example/pixel.png)",
        "[x]: javascript:alert(1)\n\n[x]",
    ],
)
def test_a_hostile_guideline_is_text(hostile: str):
    html = markdown(hostile)
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert 'href="data' not in html

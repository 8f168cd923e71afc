"""Templates are filled strictly and once."""

import hashlib

import pytest

from judges.errors import TemplateError
from judges.templates import Template, load_template

TWO = Template("two", "{{a}} and {{b}}, {{a}}")


def test_fields_are_filled():
    assert TWO.render(a="x", b="y") == "x and y, x"


def test_values_are_not_filled_again():
    assert TWO.render(a="{{b}} {0} $a %s \\1", b="y") == "{{b}} {0} $a %s \\1 and y, {{b}} {0} $a %s \\1"


def test_a_missing_field_is_named():
    with pytest.raises(TemplateError, match=r"needs \['b'\]"):
        TWO.render(a="x")


def test_an_unknown_field_is_named():
    with pytest.raises(TemplateError, match=r"no field \['c'\]"):
        TWO.render(a="x", b="y", c="z")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("compare", {"conversation", "reply_a", "reply_b", "principle", "question"}),
        ("critique", {"principle", "request"}),
        ("revise", {"critique", "principle", "request"}),
    ],
)
def test_the_shipped_templates_parse(name, fields):
    template = load_template(name)
    assert template.fields == fields
    assert template.sha256 == hashlib.sha256(template.text.encode()).hexdigest()


def test_the_principle_comes_after_the_replies():
    """What differs between requests for one pair stands last, so that the prefix cache serves the rest."""
    text = load_template("compare").text
    order = [
        text.index("{{" + field + "}}") for field in ("conversation", "reply_a", "reply_b", "principle", "question")
    ]
    assert order == sorted(order)

"""Whatever the text: a constitution or a ConstitutionError, never another exception."""

import json

from hypothesis import given
from hypothesis import strategies as st

from constitutions.canonical import canonical_json, constitution_sha256
from constitutions.errors import ConstitutionError
from constitutions.loader import load_constitution
from constitutions.schema import Constitution, JudgedPrinciple

KEYS = st.sampled_from(
    ["name", "version", "principles", "id", "kind", "text", "check", "weight", "examples", "prompt", "max_words"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
    ["judged", "checked", "one", "complete"]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5)
)
FRAGMENTS = st.sampled_from(
    ["name: a\n", "principles:\n", "- ", "  - ", "{", "}", "[", "]", "&a ", "*a", "!!int ", "? ", ": ", "|\n", ">-\n"]
) | st.sampled_from(
    ["'", '"', "\\u", "#", "---\n", "...\n", "%YAML 1.1\n", "<<: ", "kind: judged\n", "id: a\n", "text: b\n", "check: "]
) | st.sampled_from(["\t", "\x00", "\x85", "\u2028", "\ufeff", "\ud800", "0o7", ".nan", "1e400", "\n"])  # fmt: skip
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
CONSTITUTIONS = st.lists(TEXTS.filter(str.strip), min_size=1, max_size=4).map(
    lambda texts: Constitution(
        name="one", principles=tuple(JudgedPrinciple(id=f"p{n}", text=text) for n, text in enumerate(texts))
    )
)


def loads_or_says_why(data: bytes | str) -> None:
    try:
        constitution = load_constitution(data, name="any")
    except ConstitutionError as error:
        assert error.problems and all(problem.startswith("constitution 'any'") for problem in error.problems)
        assert all("\n" not in problem for problem in error.problems)
    else:
        assert load_constitution(canonical_json(constitution)) == constitution


@given(st.text())
def test_any_text(data: str) -> None:
    loads_or_says_why(data)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    loads_or_says_why(data)


@given(st.lists(FRAGMENTS, max_size=30).map("".join))
def test_pieces_of_yaml(data: str) -> None:
    loads_or_says_why(data)


@given(VALUES)
def test_any_json(value: object) -> None:
    loads_or_says_why(json.dumps(value))


@given(VALUES, st.sampled_from(["judged", "checked"]))
def test_any_values_in_place_of_the_principles_entries(value: object, kind: str) -> None:
    one = {"id": "a", "kind": kind, "text": "t", "check": value, "examples": value, "weight": value}
    loads_or_says_why(json.dumps({"name": "one", "principles": [one]}))


@given(CONSTITUTIONS)
def test_the_canonical_form_loads_to_the_same(constitution: Constitution) -> None:
    again = load_constitution(canonical_json(constitution))
    assert again == constitution
    assert constitution_sha256(again) == constitution_sha256(constitution)

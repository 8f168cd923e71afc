import json
import random

from hypothesis import given
from hypothesis import strategies as st

from constitutions.canonical import canonical_json, constitution_sha256, principle_sha256
from constitutions.loader import load_constitution
from constitutions.schema import CheckedPrinciple, JudgedPrinciple

JUDGED = JudgedPrinciple(id="kind", text="The reply is kind.")
CHECKED = CheckedPrinciple(kind="checked", id="brief", text="It is brief.", check={"max_words": 5})
VALUE = {
    "name": "one",
    "version": "2",
    "description": "For a test.",
    "principles": [
        {"kind": "judged", "id": "kind", "text": "The reply is kind.", "weight": 2, "aspect": "tone"},
        {"kind": "checked", "id": "brief", "text": "Brief.", "check": {"forbids": {"phrases": "a", "where": "start"}}},
    ],
}  # fmt: skip


def shuffled(value: object, order: random.Random) -> object:
    if isinstance(value, dict):
        return {key: shuffled(value[key], order) for key in order.sample(sorted(value), len(value))}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(st.randoms(use_true_random=False), st.sampled_from([None, 1, 4]))
def test_the_order_of_keys_and_the_layout_do_not_matter(order: random.Random, indent: int | None) -> None:
    other = load_constitution(json.dumps(shuffled(VALUE, order), indent=indent))
    assert constitution_sha256(other) == constitution_sha256(load_constitution(json.dumps(VALUE)))


def test_comments_quotes_and_spelt_out_defaults_do_not_matter() -> None:
    plain = load_constitution("name: one\nprinciples:\n- {kind: judged, id: a, text: Be kind.}\n")
    other = load_constitution(
        "# Hello\nversion: '1'   # the first\nprinciples:\n- text: >-\n    Be\n    kind.\n  id: \"a\"\n  kind: judged\n"
        "  weight: 1.0\n  examples: []\n  compare: null\nname: one\n"
    )
    assert canonical_json(plain) == canonical_json(other)


def test_the_hash_by_hand() -> None:
    constitution = load_constitution("name: one\nprinciples:\n- {kind: judged, id: a, text: Bé kind.}\n")
    assert canonical_json(constitution) == (
        '{"description":"","name":"one","principles":[{"aspect":"helpful","compare":null,"critique":null,"examples":[],'
        '"id":"a","kind":"judged","revise":null,"text":"Bé kind.","weight":1.0}],"version":"1"}'
    )
    # printf '%s' '<the line above>' | sha256sum
    assert constitution_sha256(constitution) == "b2ce4334042dd18a40f94407c468df514f27e3d3a2f92d22dc9a135c99ac1e94"


def test_what_cannot_change_a_verdict_leaves_a_principles_hash() -> None:
    for principle in (JUDGED, CHECKED):
        same = principle.model_copy(update={"id": "other", "weight": 9.0, "aspect": "other"})
        assert principle_sha256(same) == principle_sha256(principle)
    assert principle_sha256(CHECKED.model_copy(update={"text": "Another."})) == principle_sha256(CHECKED)
    assert principle_sha256(JUDGED.model_copy(update={"critique": "Say where."})) == principle_sha256(JUDGED)


def test_what_can_change_a_verdict_changes_a_principles_hash() -> None:
    others = [
        JUDGED,
        JUDGED.model_copy(update={"text": "The reply is kinder."}),
        JUDGED.model_copy(update={"compare": "Which is kinder?"}),
        CHECKED,
        CHECKED.model_copy(update={"check": {"max_words": 6}}),
        CHECKED.model_copy(update={"check": {"min_words": 5}}),
    ]
    assert len({principle_sha256(one) for one in others}) == len(others)


def test_two_ways_to_write_a_check_are_one_principle() -> None:
    spelt_out = CHECKED.model_copy(update={"check": {"max_words": {"limit": 5}}})
    assert principle_sha256(spelt_out) == principle_sha256(CHECKED)

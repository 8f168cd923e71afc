import json
from pathlib import Path

import pytest

from constitutions.errors import ConstitutionError
from constitutions.loader import load_constitution, load_constitution_file
from constitutions.schema import CheckedPrinciple, Constitution, JudgedPrinciple, Turn

GOOD = """\
# A comment.
name: one
version: 1.10
description: For a test.
principles:
  - id: kind
    kind: judged
    text: The reply is kind.
    weight: 2
    examples:
      - prompt: 42
        better: Yes
        worse: no
      - prompt:
          - {role: system, content: Be brief.}
          - {role: user, content: Hello}
        better: Hi.
        worse: ""
  - id: "no"
    kind: checked
    text: The reply has at most five words.
    check: {max_words: 5}
"""


def problems(data: bytes | str) -> tuple[str, ...]:
    with pytest.raises(ConstitutionError) as caught:
        load_constitution(data, name="x.yaml")
    return caught.value.problems


def principle(**entries: object) -> str:
    judged = {"id": "a", "kind": "judged", "text": "It is kind."} | entries
    return json.dumps({"name": "one", "principles": [judged]})


def test_a_good_file() -> None:
    constitution = load_constitution(GOOD)
    kind, brief = constitution.principles
    assert (constitution.name, constitution.version) == ("one", "1.10")
    assert isinstance(kind, JudgedPrinciple) and kind.weight == 2.0
    assert (kind.examples[0].prompt, kind.examples[0].better, kind.examples[0].worse) == ("42", "Yes", "no")
    assert kind.examples[1].turns == (Turn(role="system", content="Be brief."), Turn(role="user", content="Hello"))
    assert isinstance(brief, CheckedPrinciple) and (brief.id, brief.check) == ("no", {"max_words": 5})


def test_bytes_with_a_byte_order_mark_and_windows_lines() -> None:
    assert load_constitution(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == load_constitution(GOOD)


def test_json_is_read_too_with_its_own_escapes() -> None:
    text = "a\u2028b \U0001f600 \\ud83d \x7f / \u00e9"
    for is_ascii in (True, False):
        data = json.dumps({"name": "one", "principles": [{"kind": "judged", "id": "a", "text": text}]}, indent="\t")
        data = data if is_ascii else json.dumps(json.loads(data), ensure_ascii=False)
        assert load_constitution(data).principles[0].text == text


def test_null_is_not_given() -> None:
    (loaded,) = load_constitution(principle(critique=None, revise=None)).judged
    assert (loaded.critique, loaded.revise) == (None, None)


@pytest.mark.parametrize("check", ["complete", {"complete": True}, {"complete": None}, {"complete": {}}])
def test_a_check_without_parameters_is_written_in_any_way(check: object) -> None:
    assert load_constitution(principle(kind="checked", check=check)).checked[0].id == "a"


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "y", "n", "1:30", "2026-01-01", "0x10", "true", "1e3"])
def test_words_that_old_yaml_takes_for_something_else_are_text(word: str) -> None:
    data = f"name: one\nprinciples: [{{kind: judged, id: a, text: {word}}}]"
    assert load_constitution(data).principles[0].text == word


def test_ids_that_old_yaml_takes_for_truth_values() -> None:
    data = "name: on\nprinciples: [{kind: judged, id: no, text: t}, {kind: judged, id: yes, text: u}]"
    assert [one.id for one in load_constitution(data).principles] == ["no", "yes"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            GOOD.replace("    weight:", "    wieght:"),
            "line 9, column 5: principle 'kind', wieght: unknown key 'wieght'. Did you mean 'weight'?",
        ),
        (
            GOOD.replace("better: Hi.", "bettr: Hi."),
            "line 17, column 9: principle 'kind', example 2, bettr: unknown key 'bettr'. Did you mean 'better'?",
        ),
        (GOOD.replace("name: one", "nam: one"), "line 2, column 1: nam: unknown key 'nam'. Did you mean 'name'?"),
        (
            GOOD.replace("kind: judged", "kind: juged"),
            "line 6, column 5: principle 'kind': there is no kind 'juged'. Did you mean 'judged'?",
        ),
        (
            GOOD.replace("    kind: judged\n", ""),
            "line 6, column 5: principle 'kind': kind is missing. Add kind: judged or kind: checked.",
        ),
        (
            GOOD.replace('id: "no"', "id: kind"),
            "line 19, column 5: the id 'kind' is taken on line 6. Give each principle its own.",
        ),
        (
            GOOD.replace("role: user", "role: person"),
            "line 16, column 14: principle 'kind', example 2, prompt, 2, role: Input should be 'system', ",
        ),
        (
            GOOD.replace("max_words: 5", "max_word: 5"),
            "line 22, column 13: principle 'no': there is no check 'max_word'; did you mean 'max_words'?",
        ),
        (
            GOOD.replace("{max_words: 5}", "{max_words: {limt: 5}}"),
            "line 22, column 25: principle 'no': check max_words.limt: unknown parameter. Did you mean 'limit'?",
        ),
        (
            GOOD.replace("{max_words: 5}", "{max_words: 5, complete: true}"),
            "line 22, column 5: principle 'no': it is kind: checked but names 2 checks",
        ),
        (
            GOOD.replace("{max_words: 5}", "{}"),
            "line 22, column 5: principle 'no': it is kind: checked but names no check",
        ),
        (
            GOOD.replace("{max_words: 5}", "{complete: false}"),
            "line 22, column 13: principle 'no': check complete: false switches nothing off",
        ),
        (
            GOOD.replace("{max_words: 5}", "{forbids_pattern: '(a'}"),
            "line 22, column 13: principle 'no': check forbids_pattern.pattern: '(a' is not a pattern of RE2",
        ),
        (
            GOOD.replace("    check: {max_words: 5}\n", ""),
            "line 19, column 5: principle 'no', check is missing. Add it.",
        ),
        (
            GOOD.replace("name: one", "name: ../one"),
            "line 2, column 1: name is '../one'. Use lower-case letters, digits, hyphens, a letter first.",
        ),
        (
            GOOD.replace("1.10", "a b"),
            "line 3, column 1: version is 'a b'. Use letters, digits and .+_-, a letter or digit first.",
        ),
        (
            GOOD.replace("The reply is kind.", "'  '"),
            "line 8, column 5: principle 'kind', text: is empty. Write it out.",
        ),
        (
            GOOD.replace("weight: 2", "weight: much"),
            "line 9, column 5: principle 'kind', weight: Input should be a valid number; it is 'much'. Change it.",
        ),
        (
            GOOD.replace("name: one", "name: one\nname: two"),
            "line 3, column 1: the key 'name' stands here a second time. Keep one.",
        ),
        (
            GOOD.replace("name: one", "name: &a one"),
            "line 2, column 7: aliases and anchors are not allowed. Write the text out.",
        ),
        (GOOD.replace("name: one", "name: *a"), "line 2, column 7: aliases and anchors are not allowed."),
        (GOOD.replace("name: one", "<<: {name: one}"), "line 2, column 1: a key must be a plain word."),
        (
            GOOD.replace("name: one", "name: !!str one"),
            "line 2, column 7: the tag 'tag:yaml.org,2002:str' is not allowed. Remove it.",
        ),
        (
            GOOD.replace("name: one", "name: !!python/object:os.system one"),
            "line 2, column 7: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed.",
        ),
        (GOOD.replace("name: one", "? [a]\n: one"), "line 2, column 3: a key must be a plain word."),
        (GOOD.replace("name: one", "name: 'one"), "not valid YAML"),
        (GOOD.replace("    weight: 2", "\tweight: 2"), "line 9, column 1: not valid YAML: found a tab character"),
        (GOOD + "---\nname: two\n", "line 23, column 1: a second document begins here. Keep one."),
        (GOOD.replace("For a test.", '"\\0"'), "line 4, column 14: a NUL character cannot be stored. Remove it."),
        (GOOD.replace("For a test.", "a\x01b"), "line 4: a character that YAML does not allow. Remove it."),
        ("- a\n", "line 1, column 1: it must be a mapping with name and principles."),
        ("", "it is empty. Give it a name and principles."),
        ("# nothing\n", "it is empty. Give it a name and principles."),
        ("name: one\nprinciples: []\n", "line 2, column 1: principles: is empty. Add an item."),
        ("name: one\nprinciples: be kind\n", "line 2, column 1: principles: must be a list."),
        ("name: one\nprinciples: [be kind]\n", "line 2, column 14: principle 1: must be a mapping."),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_a_remedy(broken: str, message: str) -> None:
    first = problems(broken)[0]
    assert first.startswith("constitution 'x.yaml'") and message in first


def test_several_problems_come_at_once_in_the_order_of_the_file() -> None:
    broken = GOOD.replace("description:", "descripton:").replace("weight: 2", "weight: -1").replace("The reply has", "")
    found = problems(broken.replace('id: "no"', "id: kind").replace("prompt: 42", "promt: 42"))
    assert [line.split(":")[0] for line in found] == [
        f"constitution 'x.yaml', line {place}"
        for place in ("4, column 1", "9, column 5", "11, column 9", "19, column 5")
    ]


def test_a_bad_principle_is_not_also_called_a_missing_one() -> None:
    assert problems("name: one\nprinciples: [{kind: judged, id: a}]") == (
        "constitution 'x.yaml', line 2, column 14: principle 'a', text is missing. Add it.",
    )


def test_at_most_fifty_problems_are_told() -> None:
    many = "\n".join(f"unknown{number}: 1" for number in range(5000))
    assert len(problems(f"name: one\n{many}\nprinciples: []")) == 50


def test_a_huge_value_is_not_quoted_in_full() -> None:
    (problem,) = problems(f"name: {'a' * 100_000}\nprinciples: [{{kind: judged, id: a, text: t}}]")
    assert len(problem) < 300


@pytest.mark.parametrize("weight", [".nan", ".inf", "1e999", "0", "-1", "101", "true", "'2'", "1" + "0" * 5000, "null"])
def test_weights_that_are_none(weight: str) -> None:
    assert "weight" in problems(f"name: one\nprinciples: [{{kind: judged, id: a, text: t, weight: {weight}}}]")[0]


def test_an_alias_bomb() -> None:
    rows = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert problems("\n".join(rows)) == (
        "constitution 'x.yaml', line 1, column 5: aliases and anchors are not allowed. Write the text out.",
    )


@pytest.mark.parametrize("data", [b"a" * 50_000_000, "a" * 50_000_000, "- \n" * 16_000_000])
def test_fifty_megabytes_are_refused_unread(data: bytes | str) -> None:
    (problem,) = problems(data)
    assert "at most 1,000,000 are read. Shorten it." in problem


def test_a_file_of_fifty_megabytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(ConstitutionError, match=r"'big.yaml': 1,000,001 bytes; at most 1,000,000 are read"):
        load_constitution_file(path)


def test_two_bytes_a_letter_count_as_two() -> None:
    assert "bytes; at most" in problems("é" * 600_000)[0]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", '{"a":['])
def test_twenty_thousand_levels(opening: str) -> None:
    assert "nested deeper than 32 levels. Flatten it." in problems(opening * 20_000)[0]


@pytest.mark.parametrize("item", ["a", "{}", "{kind: judged}"])
def test_a_million_values_are_refused_before_they_are_looked_at(item: str) -> None:
    (problem,) = problems(f"name: one\nprinciples: [{', '.join([item] * (900_000 // (len(item) + 2)))}]")
    assert "more than 100,000 values. Shorten it." in problem


def test_a_line_that_is_not_utf8_is_named() -> None:
    assert problems(b"name: one\ndescription: caf\xe9\n") == (
        "constitution 'x.yaml', line 2: byte 26 is not UTF-8. Save the file as UTF-8.",
    )


def test_half_a_character_is_not_utf8() -> None:
    assert "is not UTF-8" in problems("name: \ud800")[0]


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConstitutionError, match=r"cannot read it: .*\. Check the path\."):
            load_constitution_file(path)


def test_a_constitution_cannot_be_changed() -> None:
    constitution: Constitution = load_constitution(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        constitution.name = "two"  # type: ignore[misc]

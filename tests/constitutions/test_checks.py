"""Every check on replies whose verdict is plain to a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from constitutions.checks.form import LANGUAGES
from constitutions.checks.registry import CHECKS, build_check, check_problem, run_check
from constitutions.checks.words import sentences, words
from constitutions.errors import ConstitutionError
from constitutions.schema import CheckedPrinciple, Turn

Entry = dict[str, JsonValue]
ASKED = (Turn(role="user", content="Tell me how the tides work and why they come twice a day."),)


def principle(check: Entry) -> CheckedPrinciple:
    return CheckedPrinciple(kind="checked", id="a", text="It passes.", check=check)


GOOD_AND_BAD: list[tuple[Entry, list[str], list[str]]] = [
    ({"max_words": 3}, ["", "one two three", "don't well-known 3.14"], ["one two three four", "a-b c d e f"]),
    ({"min_words": 2}, ["one two", "It's 5."], ["", "one", "--- !!! one"]),
    ({"max_sentences": 2}, ["One. Two!", "One", "At 3.14 it turns. Fine."], ["One. Two. Three", "A? B! C."]),
    ({"max_chars": 5}, ["", "12345", "éàüöß"], ["123456", "12 4 6"]),
    ({"forbids": ["sure", "as an AI"]}, ["Assured.", "As an aide", ""], ["Sure!", "Well, as  an ai, I", "SURE"]),
    ({"forbids": {"phrases": "sure", "where": "start"}}, ["I am sure."], ["Sure, yes", '"sure" it is', "**Sure**"]),
    ({"forbids": "I'd"}, ["I would", "Id"], ["I’d say", "i'd say"]),
    ({"requires": ["please", "thank you"]}, ["Please, and thank you!", "thank\nyou please"], ["please", "thanks", ""]),
    ({"requires": {"phrases": ["yes", "no"], "how": "any"}}, ["Yes.", "oh no!"], ["yesterday", "maybe", ""]),
    ({"matches": r"^\d{4}$"}, ["2024", "0000"], ["year 2024", "20245", ""]),
    ({"forbids_pattern": r"https?://"}, ["no link", "http is a protocol"], ["see http://a.b", "https://x"]),
    ({"json": True}, ["{}", '"text"', "[1, 2]", " null "], ["", "{a: 1}", "NaN", "```json\n{}\n```", "{} {}"]),
    ({"json": ["answer"]}, ['{"answer": 1}', '{"answer": null, "x": 2}'], ["{}", "[]", '{"Answer": 1}', '"answer"']),
    (
        {"language": "en"},
        ["I would like a glass of water with my dinner.", "Oui.", ""],
        ["Ich hätte gern ein Glas Wasser zum Essen, bitte.", "Je voudrais un verre d'eau avec le repas."],
    ),
    (
        {"language": "de"},
        ["Ich hätte gern ein Glas Wasser zum Essen, bitte."],
        ["I would like a glass of water with my dinner.", "Quisiera un vaso de agua con la comida, por favor."],
    ),
    (
        {"complete": True},
        ["Yes.", 'He said "no."', "Really?", "Good. ", "はい。"],
        ["", "...", "Because the", "A:"],
    ),
    ({"complete": {"min_words": 3}}, ["It is so.", "One, two, three!"], ["So be.", "No.", "It is so, since"]),
    (
        {"no_repetition": True},
        ["A pear.", "He said that he would come, and that he would stay.", "no no, please"],
        ["", "!!!", "yes yes yes", "a b c d a b c d a b c d", "aaaaaaaaaaaaaaaa"],
    ),
    ({"no_repetition": {"words": 1, "times": 3}}, ["a b a b a"], ["a b a b a c a"]),
    (
        {"plain_text": True},
        ["Two * three is six.", "At 5. p.m. it ends.", "snake_case_name", "A - b", "#1 of all"],
        ["# Head", "- item", "1. item", "**bold**", "`code`", "```\ncode\n```", "| a | b |", "[a](http://b)", "*x y*"],
    ),
    ({"no_refusal": True}, ["You can do it.", "He said: can't."], ["I can't help.", "I’m sorry, but no.", "I cannot"]),
    (
        {"no_stock_opening": True},
        ["Surely it is.", "Wet, sure."],
        ["Sure!", "Great question!", "Hello, I am"],
    ),
    (
        {"no_first_person_ai": True},
        ["Rain is wet.", "AI grows."],
        ["As an AI, I", "I am an AI.", "I’m a chatbot."],
    ),
    ({"no_closing_question": True}, ["Why? Because.", ""], ["Is it so?", 'He asked "why?"', "本当？ "]),
    (
        {"no_echo": 4},
        ["Tides come and go.", "Tell me", ""],
        ["Tell me how the tides work", "tell ME how THE"],
    ),
]
CASES = [(check, reply, True) for check, good, _ in GOOD_AND_BAD for reply in good] + [
    (check, reply, False) for check, _, bad in GOOD_AND_BAD for reply in bad
]


@pytest.mark.parametrize(("check", "reply", "passes"), CASES)
def test_what_passes_and_what_does_not(check: Entry, reply: str, passes: bool) -> None:
    result = run_check(principle(check), ASKED, reply)
    assert result.passed is passes, result.reason
    assert (result.reason == "in order") is passes


def test_every_check_has_two_good_and_two_bad_cases() -> None:
    for name in CHECKS:
        verdicts = [passes for check, _, passes in CASES if name in check]
        assert verdicts.count(True) >= 2 and verdicts.count(False) >= 2, name


def test_every_check_says_in_one_line_what_it_asks() -> None:
    assert len(CHECKS) >= 10
    for check in CHECKS.values():
        assert (check.__doc__ or "").strip().splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ("no_closing_question", "no_echo")])
def test_a_degenerate_reply_fails_complete_or_no_repetition(name: str) -> None:
    for reply in ("", "   \n", "the the the the the", "x" * 500, "I think that I think that I think that I think that"):
        results = [run_check(principle({check: True}), ASKED, reply) for check in ("complete", "no_repetition")]
        assert not all(result.passed for result in results)


def test_half_a_character_is_no_trouble() -> None:
    for check, _, _ in GOOD_AND_BAD:
        assert run_check(principle(check), ASKED, "It is \ud800 fine.").reason


@given(st.sampled_from([check for check, _, _ in GOOD_AND_BAD]), st.text())
def test_no_reply_makes_a_check_raise(check: Entry, reply: str) -> None:
    first = run_check(principle(check), ASKED, reply)
    assert first == run_check(principle(check), ASKED, reply)
    assert first.reason


@given(st.sampled_from([check for check, _, _ in GOOD_AND_BAD]))
def test_a_check_runs_without_a_conversation(check: Entry) -> None:
    assert run_check(principle(check), (), "Fine.").reason


@given(st.text(), st.integers(1, 20))
def test_max_and_min_words_split_every_reply(reply: str, limit: int) -> None:
    short = run_check(principle({"max_words": limit}), ASKED, reply).passed
    long = run_check(principle({"min_words": limit + 1}), ASKED, reply).passed
    assert short is not long


@given(st.lists(st.text(alphabet="abc'.’*+[(\\", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=3))
def test_a_phrase_is_found_in_itself(phrases: list[str]) -> None:
    for phrase in phrases:
        assert not run_check(principle({"forbids": list(phrases)}), ASKED, f"so {phrase.strip()} it is").passed


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}", r"^(\w+\s?)*$"])
def test_a_pattern_that_would_take_forever_elsewhere_just_runs(pattern: str) -> None:
    assert run_check(principle({"matches": pattern}), ASKED, "a" * 50_000 + "!").reason


@pytest.mark.parametrize("check", [check for check, _, _ in GOOD_AND_BAD])
@pytest.mark.parametrize(
    "piece", ["a", "(", "* ", "- ", "`", "[", "| ", "'", "word ", "__", "1. ", "\n", ". ", "¡", ".", ".)"]
)
def test_fifty_thousand_characters_just_run(check: Entry, piece: str) -> None:
    assert run_check(principle(check), ASKED, piece * (50_000 // len(piece)) + "x").reason


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ({}, "names no check"),
        ({"complete": True, "json": True}, "names 2 checks"),
        ({"max_word": 3}, "did you mean 'max_words'?"),
        ({"max_words": True}, "check max_words.limit is missing. It takes limit."),
        ({"max_words": 3.0}, "valid integer"),
        ({"max_words": "3"}, "valid integer"),
        ({"max_words": {"limit": True}}, "valid integer"),
        ({"max_words": -1}, "greater than or equal to 1"),
        ({"max_words": {"limit": 3, "kimit": 4}}, "Did you mean 'limit'?"),
        ({"forbids": []}, "at least 1 item"),
        ({"forbids": ["  "]}, "at least 1 character"),
        ({"forbids": [1]}, "check forbids.phrases.0: Input should be a valid string"),
        ({"matches": "(?=a)"}, "look-around and back-references are not"),
        ({"language": "english"}, "'english' is not one of the languages told apart"),
        ({"plain_text": {"now": True}}, "It takes no parameters: write plain_text: true."),
        ({"plain_text": 3}, "It takes no parameters: write plain_text: true."),
        ({"complete": False}, "false switches nothing off"),
    ],
)
def test_a_wrong_entry_is_named_with_its_remedy(check: Entry, problem: str) -> None:
    found = check_problem(check)
    assert found is not None and problem in found.message
    with pytest.raises(ConstitutionError):
        run_check(principle(check), ASKED, "Fine.")


@given(st.sampled_from(sorted(CHECKS)), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_parameters_are_accepted_or_refused_in_words(name: str, value: JsonValue) -> None:
    found = check_problem({name: value})
    assert found is None or found.message


def test_shorthand_and_mapping_are_the_same_check() -> None:
    assert build_check({"max_words": 5}) == build_check({"max_words": {"limit": 5}})
    assert build_check({"forbids": "a"}) == build_check({"forbids": {"phrases": ["a"]}})
    assert build_check({"complete": None}) == build_check({"complete": {}})


def test_a_check_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        build_check({"max_words": 5}).limit = 6  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("don't stop", 2), ("well-known 3.14 U.S.", 3), ("a_b", 2), ("汉字 ok", 2), ("—", 0)]
)
def test_words_by_hand(text: str, count: int) -> None:
    assert len(words(text)) == count


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("One", 1), ("One. Two", 2), ('"One." Two?', 2), ("3.14 is pi.", 1), ("...", 1)]
)
def test_sentences_by_hand(text: str, count: int) -> None:
    assert sentences(text) == count


def test_the_languages_are_those_that_can_be_told_apart() -> None:
    from py3langid.langid import LanguageIdentifier

    assert set(LanguageIdentifier.from_model_file("data/model.npz.xz").labels) == LANGUAGES

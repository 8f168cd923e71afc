import pytest
from pydantic import JsonValue

from constitutions.findings import Finding
from constitutions.lint import lint_constitution
from constitutions.schema import CheckedPrinciple, Constitution, Example, JudgedPrinciple, Principle, Turn


def judged(id_: str, text: str, *examples: Example, weight: float = 1.0) -> JudgedPrinciple:
    return JudgedPrinciple(id=id_, text=text, examples=examples, weight=weight)


def checked(id_: str, check: dict[str, JsonValue], *examples: Example, text: str = "") -> CheckedPrinciple:
    return CheckedPrinciple(kind="checked", id=id_, text=text or f"It passes {id_}.", check=check, examples=examples)


def pair(better: str, worse: str, prompt: str = "Hello?") -> Example:
    return Example(prompt=prompt, better=better, worse=worse)


def findings(*principles: Principle, code: str) -> list[Finding]:
    found = lint_constitution(Constitution(name="one", principles=principles))
    return [finding for finding in found if finding.code == code]


KIND = "The reply is friendly towards the person who asks."


def test_a_good_constitution_is_only_told_to_add_examples() -> None:
    found = lint_constitution(
        Constitution(
            name="one",
            principles=(
                judged("kind", KIND, pair("Welcome!", "What now?")),
                checked("brief", {"max_words": 2}, pair("Yes.", "Yes it is so.")),
            ),
        )
    )
    assert [(one.severity, one.code, one.principle_id) for one in found] == [("info", "few-examples", "kind")]


def test_twenty_examples_are_enough() -> None:
    examples = [pair(f"Good {n}.", f"Bad, {n}.", f"Question {n}?") for n in range(20)]
    assert findings(judged("kind", KIND, *examples), code="few-examples") == []
    (few,) = findings(judged("kind", KIND, *examples[:19]), code="few-examples")
    assert few.severity == "info" and few.message.startswith("19 examples; below 20 a judge stays unproven")


@pytest.mark.parametrize(("text", "code"), [("...", "empty-text"), ("Be kind.", "thin-text")])
def test_texts_that_say_too_little(text: str, code: str) -> None:
    assert len(findings(judged("a", text), code=code)) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The reply is appropriate for the person.", "vague"),
        ("The reply is of high quality throughout.", "vague"),
        ("The reply is kind as well as correct in all it says.", "double-barrelled"),
        ("The reply is short and the reply should name its source.", "double-barrelled"),
        ("The reply uses at most fifty words in all.", "checkable"),
    ],
)
def test_texts_that_a_judge_cannot_hold_on_to(text: str, code: str) -> None:
    assert len(findings(judged("a", text), code=code)) == 1
    assert findings(checked("a", {"complete": True}, text=text), code=code) == []


def test_the_same_text_twice() -> None:
    (same,) = findings(judged("one", KIND), judged("two", KIND.upper().replace(".", "!")), code="same-text")
    assert (same.severity, same.principle_id) == ("error", "two")


def test_overlapping_texts() -> None:
    one = judged("one", "The reply names the sources of its numbers and claims.")
    two = judged("two", "The reply should name sources for numbers, claims.")
    far = judged("far", "The reply stays calm when the person shouts.")
    (overlap,) = findings(one, two, far, code="overlap")
    assert (overlap.severity, overlap.principle_id) == ("warning", "two")
    assert findings(one, far, code="overlap") == []


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"max_words": 5}, {"min_words": 6}, "at most 5 words, at least 6"),
        ({"min_words": 6}, {"max_words": 5}, "at most 5 words, at least 6"),
        ({"forbids": ["Please", "sir"]}, {"requires": "please"}, "'please' is both forbidden and required"),
    ],
)
def test_checks_that_no_reply_can_pass_together(
    first: dict[str, JsonValue], second: dict[str, JsonValue], said: str
) -> None:
    (clash,) = findings(checked("a", first), checked("b", second), code="checks-contradict")
    assert clash.severity == "error" and said in clash.message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"max_words": 5}, {"min_words": 5}),
        ({"forbids": {"phrases": ["please"], "where": "start"}}, {"requires": "please"}),
        ({"forbids": ["please"]}, {"requires": {"phrases": ["please", "thanks"], "how": "any"}}),
    ],
)
def test_checks_that_a_reply_can_pass_together(first: dict[str, JsonValue], second: dict[str, JsonValue]) -> None:
    assert findings(checked("a", first), checked("b", second), code="checks-contradict") == []


def test_the_same_check_twice() -> None:
    (same,) = findings(checked("a", {"max_words": 5}), checked("b", {"max_words": {"limit": 5}}), code="same-check")
    assert (same.severity, same.principle_id) == ("warning", "b")


def test_weights_out_of_proportion() -> None:
    texts = ("It is kind to all.", "It tells only truth.", "It answers the question.")
    light, middle, heavy = (judged(f"p{n}", texts[n], weight=weight) for n, weight in enumerate((0.05, 1.0, 30.0)))
    others = judged("more", "It keeps other people's secrets."), judged("last", "It never mocks a stranger.")
    assert [one.principle_id for one in findings(light, middle, *others, code="weight-negligible")] == ["p0"]
    assert [one.principle_id for one in findings(middle, heavy, *others, code="weight-dominates")] == ["p2"]
    assert findings(heavy, code="weight-dominates") == []


def test_a_check_that_its_own_examples_contradict() -> None:
    brief = checked("brief", {"max_words": 2}, pair("One two three.", "One."))
    assert findings(brief, code="better-fails")[0].message == (
        "example 1: the better reply fails its own check: 3 words, at most 2. Mend one of them."
    )
    assert findings(brief, code="worse-passes")[0].severity == "error"


def test_a_check_without_an_example() -> None:
    assert findings(checked("brief", {"max_words": 2}), code="no-examples")[0].severity == "info"


def test_examples_at_odds() -> None:
    principle = judged("kind", KIND, pair("a", "b"), pair("a", "b"), pair("b", "a "), pair("c", " c"))
    assert findings(principle, code="examples-contradict")[0].message.startswith("examples 1 and 3 prefer opposite")
    assert "example 2 repeats example 1" in findings(principle, code="example-repeated")[0].message
    assert findings(principle, code="same-replies")[0].message.startswith("example 4: better and worse are the same")


def test_the_same_replies_to_other_prompts_do_not_contradict() -> None:
    principle = judged("kind", KIND, pair("a", "b", "One?"), pair("b", "a", "Two?"))
    assert findings(principle, code="examples-contradict") == []


def test_a_prompt_must_end_with_the_user() -> None:
    turns = (Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello"))
    example = Example(prompt=turns, better="a", worse="b")
    assert findings(judged("kind", KIND, example), code="prompt-without-user")[0].severity == "error"


def test_examples_that_length_gives_away() -> None:
    longer = [pair(f"A long reply {n}.", f"No {n}.", f"Q{n}?") for n in range(8)]
    assert "longer one in 100%" in findings(judged("kind", KIND, *longer), code="length-gives-away")[0].message
    assert findings(judged("kind", KIND, *longer[:7]), code="length-gives-away") == []
    turned = [pair(one.worse, one.better, f"{one.prompt}!") for one in longer]
    assert findings(judged("kind", KIND, *longer, *turned), code="length-gives-away") == []


def test_errors_come_first() -> None:
    broken = checked("b", {"max_words": 1}, pair("a b", "a b c"))
    found = lint_constitution(Constitution(name="one", principles=(judged("a", "Be kind."), broken)))
    assert [one.severity for one in found] == ["error", "warning", "info"]

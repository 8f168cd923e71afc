"""What a careful reader would object to in a constitution that loads: texts, weights and checks at odds.

Left out: what the loader refuses (duplicate ids, unknown keys), the examples (`lint_examples.py`).
"""

import re
from collections.abc import Iterator
from itertools import combinations
from statistics import median

from constitutions.checks.length import MaxWords, MinWords
from constitutions.checks.phrases import Forbids, Requires
from constitutions.checks.registry import build_check
from constitutions.checks.words import words
from constitutions.findings import Finding
from constitutions.lint_examples import lint_examples
from constitutions.schema import CheckedPrinciple, Constitution, Principle

# Two texts with this share of their content words in common mostly ask for the same thing twice.
OVERLAP_JACCARD = 0.6
# A weight this many times the median of the others decides nearly every pair alone.
DOMINANT_WEIGHT_TIMES = 10.0
_FEWEST_WORDS = 3
_SEVERITIES = ("error", "warning", "info")
_FILLERS = frozenset(
    words(
        "a an and are as at be by can do does for from has have if in is it its may more most must no not of on or "
        "reply response answer should than that the their them then there they this to user what when where which "
        "who will with would"
    )
)
_VAGUE = re.compile(
    r"(?i)\b(appropriate(?:ly)?|as needed|etc|if possible|where possible|good quality|high[- ]quality|"
    r"properly|suitabl[ey]|the best possible|nice)\b"
)
_DOUBLE = re.compile(
    r"(?i)(\band also\b|\bas well as\b|\bin addition\b|\bfurthermore\b|\bmoreover\b|"
    r"\band (?:it|the reply|the answer|the response) (?:must|should|is|has|does)\b)"
)
_COUNTABLE = re.compile(r"(?i)\b(?:at most|no more than|fewer than|under|at least)\s+(?:\d+|\w+)\s+(words|sentences)\b")


def lint_constitution(constitution: Constitution) -> tuple[Finding, ...]:
    """Every objection, errors first, then in the order of the principles."""
    findings = [
        *(finding for principle in constitution.principles for finding in _lint_principle(principle)),
        *_overlaps(constitution.principles),
        *_clashes(constitution.checked),
        *_weights(constitution.principles),
    ]
    order = {principle.id: index for index, principle in enumerate(constitution.principles)}
    return tuple(
        sorted(findings, key=lambda f: (_SEVERITIES.index(f.severity), order.get(f.principle_id or "", len(order))))
    )


def _lint_principle(principle: Principle) -> Iterator[Finding]:
    count = len(words(principle.text))
    if count == 0:
        yield Finding("error", "empty-text", principle.id, "its text has no word in it. Say what a reply must do.")
    elif count < _FEWEST_WORDS:
        yield Finding(
            "warning", "thin-text", principle.id, f"{principle.text!r} is too short to judge by. Write a sentence."
        )
    if not isinstance(principle, CheckedPrinciple):
        yield from _judged_wording(principle.id, principle.text)
    yield from lint_examples(principle)


def _judged_wording(id_: str, text: str) -> Iterator[Finding]:
    if vague := _VAGUE.search(text):
        yield Finding("warning", "vague", id_, f"{vague[0]!r} leaves the judge to guess. Say what one would see.")
    if double := _DOUBLE.search(text):
        message = f"{double[0]!r} joins two demands, and a reply may meet only one. Make two principles."
        yield Finding("warning", "double-barrelled", id_, message)
    if countable := _COUNTABLE.search(text):
        message = f"{countable[0]!r} can be counted. A check (max_words, min_words, max_sentences) costs no judge."
        yield Finding("info", "checkable", id_, message)


def _content_words(text: str) -> frozenset[str]:
    said = (word.casefold() for word in words(text))
    return frozenset(re.sub(r"(?<=\w{3})(?:ing|ed|es|s|ly)$", "", word) for word in said if word not in _FILLERS)


def _overlaps(principles: tuple[Principle, ...]) -> Iterator[Finding]:
    bags = {principle.id: _content_words(principle.text) for principle in principles}
    said = {principle.id: words(principle.text.casefold()) for principle in principles}
    for one, other in combinations(principles, 2):
        if said[one.id] == said[other.id]:
            message = f"it says the same as '{one.id}', so that counts twice. Keep one and raise its weight."
            yield Finding("error", "same-text", other.id, message)
            continue
        shared, either = bags[one.id] & bags[other.id], bags[one.id] | bags[other.id]
        if len(shared) >= _FEWEST_WORDS and len(shared) / len(either) >= OVERLAP_JACCARD:
            message = f"it shares {len(shared)} of {len(either)} words with '{one.id}'. Merge them or tell them apart."
            yield Finding("warning", "overlap", other.id, message)


def _clashes(principles: tuple[CheckedPrinciple, ...]) -> Iterator[Finding]:
    """Checks of which no reply can pass both, or that are the same check twice."""
    for one, other in combinations(principles, 2):
        for first, second in ((one, other), (other, one)):
            if clash := _clash(first, second):
                message = f"no reply can pass both it and '{one.id}': {clash}. Change one of them."
                yield Finding("error", "checks-contradict", other.id, message)
        if build_check(one.check) == build_check(other.check):
            message = f"it is the same check as '{one.id}', so that counts twice. Remove one."
            yield Finding("warning", "same-check", other.id, message)


def _clash(first: CheckedPrinciple, second: CheckedPrinciple) -> str:
    a, b = build_check(first.check), build_check(second.check)
    if isinstance(a, MaxWords) and isinstance(b, MinWords) and a.limit < b.limit:
        return f"at most {a.limit} words, at least {b.limit}"
    if isinstance(a, Forbids) and isinstance(b, Requires) and a.where == "anywhere" and b.how == "all":
        forbidden = {phrase.casefold() for phrase in a.phrases}
        both = [phrase for phrase in b.phrases if phrase.casefold() in forbidden]
        return f"{both[0]!r} is both forbidden and required" if both else ""
    return ""


def _weights(principles: tuple[Principle, ...]) -> Iterator[Finding]:
    for principle in principles if len(principles) > 1 else ():
        middle = median(other.weight for other in principles if other.id != principle.id)
        if principle.weight > DOMINANT_WEIGHT_TIMES * middle:
            message = f"weight {principle.weight:g} against {middle:g} for the others: it decides alone. Lower it."
            yield Finding("warning", "weight-dominates", principle.id, message)
        elif principle.weight * DOMINANT_WEIGHT_TIMES < middle:
            message = f"weight {principle.weight:g} against {middle:g} for the others: it hardly counts. Raise it."
            yield Finding("warning", "weight-negligible", principle.id, message)

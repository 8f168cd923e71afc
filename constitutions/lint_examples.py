"""What is wrong with a principle's examples, which are its unit tests and the judge's examination.

Left out: asking a judge about them (`judges/qualify.py`).
"""

from collections.abc import Iterator

from constitutions.checks.registry import run_check
from constitutions.findings import Finding
from constitutions.schema import CheckedPrinciple, Example, Principle

# With fewer, the interval of a judge's accuracy is too wide to say anything: it stays unproven and gets no weight.
ENOUGH_EXAMPLES = 20
_FEWEST_FOR_LENGTH = 8
_ONE_SIDED_SHARE = 0.8


def lint_examples(principle: Principle) -> Iterator[Finding]:
    """Objections to the examples of one principle; they are counted from 1."""
    for number, example in enumerate(principle.examples, start=1):
        yield from _lint_example(principle.id, number, example)
        if isinstance(principle, CheckedPrinciple):
            yield from _check_disagrees(principle, number, example)
    yield from _pairs(principle)
    if isinstance(principle, CheckedPrinciple):
        if not principle.examples:
            message = "no example shows that its check means what its text says. Add a better and a worse reply."
            yield Finding("info", "no-examples", principle.id, message)
    else:
        yield from _as_examination(principle)


def _lint_example(id_: str, number: int, example: Example) -> Iterator[Finding]:
    if example.better.strip() == example.worse.strip():
        message = f"example {number}: better and worse are the same. Change one of them."
        yield Finding("error", "same-replies", id_, message)
    if not example.turns or example.turns[-1].role != "user":
        message = f"example {number}: its prompt must end with the user's turn. Add it, or drop what follows it."
        yield Finding("error", "prompt-without-user", id_, message)


def _check_disagrees(principle: CheckedPrinciple, number: int, example: Example) -> Iterator[Finding]:
    better = run_check(principle, example.turns, example.better)
    worse = run_check(principle, example.turns, example.worse)
    if not better.passed:
        message = f"example {number}: the better reply fails its own check: {better.reason}. Mend one of them."
        yield Finding("error", "better-fails", principle.id, message)
    if worse.passed:
        message = f"example {number}: the worse reply passes the check. Mend one of them."
        yield Finding("error", "worse-passes", principle.id, message)


def _pairs(principle: Principle) -> Iterator[Finding]:
    """The same pair once more, or the other way round."""
    first: dict[tuple[object, str, str], int] = {}
    for number, example in enumerate(principle.examples, start=1):
        better, worse = example.better.strip(), example.worse.strip()
        if earlier := first.get((example.turns, worse, better)):
            message = f"examples {earlier} and {number} prefer opposite replies of one pair. Keep one."
            if better != worse:
                yield Finding("error", "examples-contradict", principle.id, message)
        elif earlier := first.get((example.turns, better, worse)):
            message = f"example {number} repeats example {earlier}. Remove one."
            yield Finding("warning", "example-repeated", principle.id, message)
        first.setdefault((example.turns, better, worse), number)


def _as_examination(principle: Principle) -> Iterator[Finding]:
    count = len(principle.examples)
    if count < ENOUGH_EXAMPLES:
        message = (
            f"{count} examples; below {ENOUGH_EXAMPLES} a judge stays unproven on it and gets no weight. Add some."
        )
        yield Finding("info", "few-examples", principle.id, message)
    longer = sum(len(example.better) > len(example.worse) for example in principle.examples)
    share = max(longer, count - longer) / count if count else 0.0
    if count >= _FEWEST_FOR_LENGTH and share >= _ONE_SIDED_SHARE:
        which = "longer" if longer * 2 > count else "shorter"
        message = f"the better reply is the {which} one in {share:.0%}: a judge could pass by length. Balance them."
        yield Finding("warning", "length-gives-away", principle.id, message)

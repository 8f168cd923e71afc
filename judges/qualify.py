"""Is this judge fit for this constitution? Its verdicts on the principles' own examples decide, both orders each.

The verdict of a principle: `unproven` under 20 answered examples (those of one prompt count once), `harmful` where the
95 % interval of its accuracy lies below one half, `at_chance` where it holds one half, `trusted` where it lies above
0.7, else `weak`. The first three weigh nothing unless the user allows them by name. Consistency between orders is
shown, never a criterion: it says nothing about accuracy. Labelled sets may be judged beside the examples: each gets a
verdict, which is shown, while weights follow from the examples alone. A check proves itself: it is `trusted` when it
passes all its examples (or has none), `harmful` otherwise. Left out: calibration on people's labels.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from constitutions.checks.registry import run_check
from constitutions.schema import CheckedPrinciple, Constitution, Example, Principle
from judges.client import ChatClient
from judges.errors import UnreadableLabels
from judges.fence import digest_of
from judges.gathering import all_of
from judges.intervals import wilson
from judges.labelled_sets import EXAMPLES, LabelledPair
from judges.measures import JudgedPair, Measures, longest_wins, measure
from judges.protocols.pairwise import Pairwise
from judges.protocols.protocol import JudgeProtocol
from judges.records import Comparison, Message

Standing = Literal["trusted", "weak", "unproven", "at_chance", "harmful"]
DEFAULT_PROTOCOL = Pairwise()
ENOUGH_EXAMPLES = 20
TRUSTED_FROM = 0.7
WEIGHTED: frozenset[Standing] = frozenset({"trusted", "weak"})


@dataclass(frozen=True, slots=True)
class PrincipleQualification:
    """How the judge did on one principle's examples, or on one slice of a labelled set; shares are 0 to 1.

    These are the numbers of `measures` that every report has had; there an undefined one says why, here it is 0.5, and
    `low` to `high` is 0 to 1. `measures` is None for a check, and in reports of older versions.
    """

    principle_id: str
    kind: Literal["judged", "checked"]
    examples: int
    correct: float
    accuracy: float
    low: float
    high: float
    consistency: float
    first_pick_rate: float
    abstentions: int
    verdict: Standing
    slice: str = EXAMPLES
    measures: Measures | None = None


@dataclass(frozen=True, slots=True)
class Qualification:
    """A judge on a constitution: each principle, and the judged ones together (`longest_wins` is the baseline).

    `per_slice` is what it did on labelled sets, principle by principle and slice by slice.
    """

    judge: str
    per_principle: tuple[PrincipleQualification, ...]
    overall: PrincipleQualification
    longest_wins: float
    per_slice: tuple[PrincipleQualification, ...] = ()


async def qualify(
    client: ChatClient,
    constitution: Constitution,
    protocol: JudgeProtocol = DEFAULT_PROTOCOL,
    labelled: Sequence[LabelledPair] = (),
) -> Qualification:
    """Judge every example of every principle, and every labelled pair under the principle that it names."""
    principles = {principle.id: principle for principle in constitution.judged}
    pairs = [*(pair for principle in constitution.judged for pair in example_pairs(principle)), *labelled]
    for pair in pairs:
        if pair.principle_id not in principles:
            raise UnreadableLabels(
                f"{pair.place}: {pair.principle_id!r} is no judged principle of {constitution.name!r}; it has "
                f"{', '.join(principles) or 'none'}"
            )
    verdicts = await all_of(
        protocol.judge(client, pair.comparison, principles[str(pair.principle_id)]) for pair in pairs
    )
    judged = [JudgedPair(pair, found.verdict) for pair, found in zip(pairs, verdicts, strict=True)]
    return qualification_of(client.model, constitution, judged)


def qualification_of(judge: str, constitution: Constitution, judged: Sequence[JudgedPair]) -> Qualification:
    """What these verdicts prove of every principle; the checks are run here."""
    of_examples = [one for one in judged if one.pair.slice == EXAMPLES]
    sets = dict.fromkeys((one.pair.principle_id, one.pair.slice) for one in judged if one.pair.slice != EXAMPLES)
    baseline = longest_wins([one.pair for one in of_examples]).value
    return Qualification(
        judge=judge,
        per_principle=tuple(
            _check_standing(p)
            if isinstance(p, CheckedPrinciple)
            else standing(p.id, [one for one in of_examples if one.pair.principle_id == p.id])
            for p in constitution.principles
        ),
        overall=standing("overall", of_examples),
        longest_wins=0.5 if baseline is None else baseline,
        per_slice=tuple(
            standing(str(id), [one for one in judged if (one.pair.principle_id, one.pair.slice) == (id, slice)], slice)
            for id, slice in sets
        ),
    )


def example_pairs(principle: Principle) -> tuple[LabelledPair, ...]:
    """A principle's examples as labelled pairs whose reply A is the better one."""
    return tuple(
        LabelledPair(example_comparison(example), 1.0, EXAMPLES, f"{principle.id}, example {n}", principle.id)
        for n, example in enumerate(principle.examples, start=1)
    )


def example_comparison(example: Example) -> Comparison:
    """An example as a comparison whose reply A is the better one. Examples of one prompt have one `prompt_id`."""
    messages = tuple(Message(turn.role, turn.content) for turn in example.turns)
    key = digest_of(*(m.content for m in messages), example.better, example.worse)[:12]
    prompt = digest_of(*(part for m in messages for part in (m.role, m.content)))[:12]
    return Comparison(f"example_{key}", f"example_prompt_{prompt}", messages, example.better, example.worse)


def standing(principle_id: str, judged: Sequence[JudgedPair], slice: str = EXAMPLES) -> PrincipleQualification:
    """What the verdicts on a principle's pairs prove."""
    found = measure(judged)
    accuracy, consistency, first = (
        0.5 if one.value is None else one.value for one in (found.accuracy, found.consistency, found.first_pick_rate)
    )
    return PrincipleQualification(
        principle_id=principle_id,
        kind="judged",
        examples=found.examples,
        correct=round(2 * accuracy * found.decided) / 2,
        accuracy=accuracy,
        low=found.low,
        high=found.high,
        consistency=consistency,
        first_pick_rate=first,
        abstentions=found.examples - found.answered,
        verdict=_verdict(found.prompts, found.low, found.high),
        slice=slice,
        measures=found,
    )


def weights_after_qualification(
    constitution: Constitution, qualification: Qualification, allow_unqualified: Collection[str] = ()
) -> Mapping[str, float]:
    """Each principle's weight, 0 where the judge is unfit for it; `allow_unqualified` names principles kept anyway."""
    fit = {q.principle_id for q in qualification.per_principle if q.verdict in WEIGHTED} | set(allow_unqualified)
    return {p.id: p.weight if p.id in fit else 0.0 for p in constitution.principles}


def _check_standing(principle: CheckedPrinciple) -> PrincipleQualification:
    pairs = [example_comparison(example) for example in principle.examples]
    right = [
        run_check(principle, pair.messages, pair.a).passed and not run_check(principle, pair.messages, pair.b).passed
        for pair in pairs
    ]
    interval = wilson(sum(right), len(right))
    return PrincipleQualification(
        principle_id=principle.id,
        kind="checked",
        examples=len(right),
        correct=float(sum(right)),
        accuracy=interval.estimate,
        low=interval.low,
        high=interval.high,
        consistency=1.0,
        first_pick_rate=0.5,
        abstentions=0,
        verdict="trusted" if all(right) else "harmful",
    )


def _verdict(prompts: int, low: float, high: float) -> Standing:
    if prompts < ENOUGH_EXAMPLES:
        return "unproven"
    if high < 0.5:
        return "harmful"
    if low <= 0.5:
        return "at_chance"
    return "trusted" if low >= TRUSTED_FROM else "weak"

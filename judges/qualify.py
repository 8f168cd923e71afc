"""Is this judge fit for this constitution? Its verdicts on the principles' own examples decide, both orders each.

The verdict of a principle: `unproven` under 20 answered examples, `harmful` where the 95 % interval of its accuracy
lies below one half, `at_chance` where it holds one half, `trusted` where it lies above 0.7, else `weak`. The first
three weigh nothing unless the user allows them by name. Consistency between orders is shown, never a criterion: it
says nothing about accuracy. A check proves itself: it is `trusted` when it passes all its examples (or has none),
`harmful` otherwise. Left out: calibration on people's labels.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from constitutions.checks.registry import run_check
from constitutions.schema import CheckedPrinciple, Constitution, Example
from judges.client import ChatClient
from judges.fence import digest_of
from judges.gathering import all_of
from judges.intervals import wilson
from judges.protocols.pairwise import Pairwise
from judges.protocols.protocol import JudgeProtocol
from judges.records import Comparison, Message, Preference, PrincipleVerdict

Standing = Literal["trusted", "weak", "unproven", "at_chance", "harmful"]
DEFAULT_PROTOCOL = Pairwise()
ENOUGH_EXAMPLES = 20
TRUSTED_FROM = 0.7
WEIGHTED: frozenset[Standing] = frozenset({"trusted", "weak"})


@dataclass(frozen=True, slots=True)
class PrincipleQualification:
    """How the judge did on one principle's examples. Shares are 0 to 1 over the answered ones; a tie is half correct.

    `consistency` is the share whose winner did not change with the order, `first_pick_rate` how often the reply shown
    first won: 0.5 is unbiased. Without an answer both are 0.5 and `low` to `high` is 0 to 1.
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


@dataclass(frozen=True, slots=True)
class Qualification:
    """A judge on a constitution: each principle, and the judged ones together (`longest_wins` is the baseline)."""

    judge: str
    per_principle: tuple[PrincipleQualification, ...]
    overall: PrincipleQualification
    longest_wins: float


async def qualify(
    client: ChatClient, constitution: Constitution, protocol: JudgeProtocol = DEFAULT_PROTOCOL
) -> Qualification:
    """Judge every example of every principle."""
    pairs = [(p, example_comparison(example)) for p in constitution.judged for example in p.examples]
    verdicts = await all_of(protocol.judge(client, pair, principle) for principle, pair in pairs)
    return Qualification(
        judge=client.model,
        per_principle=tuple(
            _check_standing(p)
            if isinstance(p, CheckedPrinciple)
            else standing(p.id, [v for v in verdicts if v.principle_id == p.id])
            for p in constitution.principles
        ),
        overall=standing("overall", verdicts),
        longest_wins=_share([_longer_first(pair) for _, pair in pairs]),
    )


def example_comparison(example: Example) -> Comparison:
    """An example as a comparison whose reply A is the better one."""
    messages = tuple(Message(turn.role, turn.content) for turn in example.turns)
    key = digest_of(*(m.content for m in messages), example.better, example.worse)[:12]
    return Comparison(f"example_{key}", f"example_{key}", messages, example.better, example.worse)


def standing(principle_id: str, verdicts: Sequence[PrincipleVerdict]) -> PrincipleQualification:
    """What the verdicts on a principle's examples prove; reply A of each is the better one."""
    answers = [v.verdict for v in verdicts if isinstance(v.verdict, Preference)]
    correct = sum(_win(a.p_a) for a in answers)
    interval = wilson(correct, len(answers))
    return PrincipleQualification(
        principle_id=principle_id,
        kind="judged",
        examples=len(verdicts),
        correct=correct,
        accuracy=interval.estimate,
        low=interval.low,
        high=interval.high,
        consistency=_share([_win(a.p_a_ab) == _win(a.p_a_ba) for a in answers]),
        first_pick_rate=_share([first for a in answers for first in (_win(a.p_a_ab), 1 - _win(a.p_a_ba))]),
        abstentions=len(verdicts) - len(answers),
        verdict=_verdict(len(answers), interval.low, interval.high),
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


def _verdict(answered: int, low: float, high: float) -> Standing:
    if answered < ENOUGH_EXAMPLES:
        return "unproven"
    if high < 0.5:
        return "harmful"
    if low <= 0.5:
        return "at_chance"
    return "trusted" if low >= TRUSTED_FROM else "weak"


def _win(p: float) -> float:
    """1 for a win, 0 for a loss, 0.5 for a tie."""
    return 0.5 if p == 0.5 else float(p > 0.5)


def _longer_first(pair: Comparison) -> float:
    return 0.5 if len(pair.a) == len(pair.b) else float(len(pair.a) > len(pair.b))


def _share(values: Sequence[float]) -> float:
    """Their mean; one half where there are none."""
    return sum(values) / len(values) if values else 0.5

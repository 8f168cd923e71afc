"""One reply at a time: a grade on a scale (pointwise), or yes or no (proposition), from the first token's distribution.

The grade is the expected value over the levels' tokens, not the likeliest one: the mean beat the mode in 42 of 48
settings of arXiv:2503.03064. A preference follows from two grades as the chance that a level drawn for A is above one
drawn for B, half of it where they are equal: it has no knob, and becomes 1 - p when the replies change places.
Propositions are those of rule-based rewards (Mu et al. 2024, arXiv:2411.01111). No order is swapped: there is none.
Left out: scales of ten levels and more, whose numbers are not one token in every vocabulary.
"""

from dataclasses import dataclass, field

from constitutions.schema import JudgedPrinciple
from judges.asking import Asking, outcome_of
from judges.client import JudgeClient
from judges.compare import fenced_conversation
from judges.fence import digest_of, escape, fence_mark, fenced
from judges.gathering import all_of
from judges.records import Abstention, Comparison, Message, Preference, PrincipleVerdict, Prompt
from judges.templates import Template

YES_NO = ("no", "yes")


@dataclass(frozen=True, slots=True)
class Grade:
    """`score` is the expected level: `lowest` to `highest`, or 0 to 1, the probability of yes.

    `shares` are the levels' probabilities, the lowest level first, summing to 1; `label_mass` that of any level.
    """

    score: float
    shares: tuple[float, ...]
    label_mass: float


@dataclass(frozen=True, slots=True)
class Graded:
    """One request a reply. `levels` go from the worst to the best: `no`, `yes`, or `1` to `highest`."""

    template: Template
    levels: tuple[str, ...]
    requests: int = field(default=2, init=False)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.levels

    @property
    def template_sha256(self) -> str:
        return digest_of(self.template.text, *self.levels)

    async def grade(
        self, client: JudgeClient, prompt: Prompt, reply: str, principle: JudgedPrinciple
    ) -> Grade | Abstention:
        """The grade of one reply to one prompt under one principle."""
        return await outcome_of(self._grade(Asking(client, prompt.id), prompt, reply, principle))

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        asking = Asking(client, comparison.prompt_id)
        prompt = Prompt(comparison.prompt_id, comparison.messages)
        a, b = await all_of(
            outcome_of(self._grade(asking, prompt, reply, principle)) for reply in (comparison.a, comparison.b)
        )
        return asking.verdict(self.template_sha256, comparison, principle, preference_of(a, b))

    async def _grade(self, asking: Asking, prompt: Prompt, reply: str, principle: JudgedPrinciple) -> Grade:
        text = self.template.fill(
            conversation=fenced_conversation(prompt.messages),
            reply=fenced("reply", reply, fence_mark(reply)),
            principle=escape(principle.text),
            highest=self.levels[-1],
        )
        read = await asking.labels([Message("user", text)], self.levels)
        lowest = 0 if self.levels == YES_NO else int(self.levels[0])
        score = sum((lowest + place) * share for place, share in enumerate(read.shares))
        return Grade(score, read.shares, read.label_mass)


def preference_of(a: Grade | Abstention, b: Grade | Abstention) -> Preference | Abstention:
    """P(a's level > b's) + P(equal) / 2, the levels drawn independently."""
    if isinstance(a, Abstention):
        return a
    if isinstance(b, Abstention):
        return b
    above = sum(x * y for i, x in enumerate(a.shares) for j, y in enumerate(b.shares) if i > j)
    below = sum(x * y for i, x in enumerate(a.shares) for j, y in enumerate(b.shares) if i < j)
    p_a = 0.5 + (above - below) / 2
    reason = f"grade {a.score:.2f} against {b.score:.2f}"
    return Preference(p_a, p_a, p_a, min(a.label_mass, b.label_mass), reason)

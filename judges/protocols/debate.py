"""Two sides argue, one for each reply, and a judge who has read both answers with one token: both orders.

The sides speak at once in each turn and see what was said before (Khan et al. 2024, arXiv:2402.06782). No side knows
in which place its reply will be shown, so both orders of the judge share one debate. It helps where the judge lacks
what the sides know, and is mixed otherwise (Kenton et al. 2024, arXiv:2407.04622).
"""

from dataclasses import dataclass, field

from constitutions.schema import JudgedPrinciple
from judges.asking import Asking, outcome_of
from judges.choices import Choice
from judges.client import JudgeClient
from judges.compare import both_orders, fenced_conversation, pair_prompt
from judges.errors import ProtocolError
from judges.fence import digest_of, escape, fence_mark, fenced
from judges.gathering import all_of
from judges.protocols.texts import protocol_template
from judges.records import Abstention, Comparison, Message, PrincipleVerdict

_NOTHING_SAID = "Nothing has been said yet."


@dataclass(frozen=True, slots=True)
class _Side:
    """One side: the reply it stands for, and the arguments it has brought so far."""

    reply: str
    said: tuple[str, ...] = ()

    @property
    def argument(self) -> str:
        return "\n\n".join(self.said)


@dataclass(frozen=True, slots=True)
class Debate:
    """2 * `turns` arguments of `max_tokens` at most, then two requests. More turns let a side answer the other."""

    turns: int = 1
    max_tokens: int = 200
    labels: tuple[str, ...] = field(default=("A", "B"), init=False)

    def __post_init__(self) -> None:
        if self.turns < 1:
            raise ProtocolError(f"a debate of {self.turns} turns has no argument to read; give it 1 or more")

    @property
    def requests(self) -> int:
        return 2 * self.turns + 2

    @property
    def template_sha256(self) -> str:
        texts = (protocol_template("argue").text, protocol_template("debate").text)
        return digest_of(*texts, str(self.turns), str(self.max_tokens))

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        asking = Asking(client, comparison.prompt_id)
        a, b = _Side(comparison.a), _Side(comparison.b)
        for _ in range(self.turns):
            for_a, for_b = await all_of(
                outcome_of(self._argue(asking, comparison, principle, own, other)) for own, other in ((a, b), (b, a))
            )
            for spoken in (for_a, for_b):
                if isinstance(spoken, Abstention):
                    return asking.verdict(self.template_sha256, comparison, principle, spoken)
            a, b = _Side(a.reply, (*a.said, str(for_a))), _Side(b.reply, (*b.said, str(for_b)))

        async def ask(swapped: bool) -> Choice:
            first, second = (b, a) if swapped else (a, b)
            prompt = pair_prompt(
                protocol_template("debate"),
                comparison,
                principle,
                swapped=swapped,
                argument_a=fenced("reply A argument", first.argument, fence_mark(first.argument)),
                argument_b=fenced("reply B argument", second.argument, fence_mark(second.argument)),
            )
            return await asking.choice([Message("user", prompt)])

        return asking.verdict(self.template_sha256, comparison, principle, await both_orders(ask))

    async def _argue(
        self, asking: Asking, comparison: Comparison, principle: JudgedPrinciple, own: _Side, other: _Side
    ) -> str:
        heard = "\n\n".join(
            fenced(f"{label} argument", side.argument, fence_mark(side.argument))
            for label, side in (("reply yours", own), ("reply other", other))
            if side.said
        )
        prompt = protocol_template("argue").render(
            conversation=fenced_conversation(comparison.messages),
            own_reply=fenced("reply yours", own.reply, fence_mark(own.reply)),
            other_reply=fenced("reply other", other.reply, fence_mark(other.reply)),
            principle=escape(principle.text),
            heard=heard or _NOTHING_SAID,
        )
        return await asking.text([Message("user", prompt)], self.max_tokens)

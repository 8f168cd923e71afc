"""The judge reasons about the pair, then answers with one token after its own reasoning: both orders.

Two steps, as in RLAIF (Lee et al. 2023, arXiv:2309.00267, section 2.1.2). Reasoning drives the token's probability to
0 or 1; Constitutional AI therefore clamped it to 0.4 to 0.6 (arXiv:2212.08073, section 4.1). Calibration on people's
labels is the better remedy, so the clamp is off unless asked for. Left out: several reasonings for a verdict.
"""

from dataclasses import dataclass, field, replace

from constitutions.schema import JudgedPrinciple
from judges.asking import Asking
from judges.choices import Choice
from judges.client import JudgeClient
from judges.compare import both_orders, pair_prompt
from judges.errors import ProtocolError
from judges.fence import digest_of, escape
from judges.protocols.texts import protocol_template
from judges.records import Comparison, Message, Preference, PrincipleVerdict


@dataclass(frozen=True, slots=True)
class CritiqueFirst:
    """Four requests a verdict. Raise `max_tokens` for a judge whose reasoning is cut off before its point.

    `lowest_p` clamps `p_a` to [lowest_p, 1 - lowest_p]: 0 clamps nothing, 0.4 is the paper's. `p_a_ab` and `p_a_ba`
    stay as they were read. The reason kept is that of the order which shows A first.
    """

    max_tokens: int = 256
    lowest_p: float = 0.0
    labels: tuple[str, ...] = field(default=("A", "B"), init=False)
    requests: int = field(default=4, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.lowest_p <= 0.5:
            raise ProtocolError(f"lowest_p is {self.lowest_p}; it must be 0 to 0.5")

    @property
    def template_sha256(self) -> str:
        texts = (protocol_template("reason").text, protocol_template("decide").text)
        return digest_of(*texts, str(self.max_tokens), repr(self.lowest_p))

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        asking = Asking(client, comparison.prompt_id)
        reasons: dict[bool, str] = {}

        async def ask(swapped: bool) -> Choice:
            turns = [Message("user", pair_prompt(protocol_template("reason"), comparison, principle, swapped=swapped))]
            reasons[swapped] = await asking.text(turns, self.max_tokens)
            turns.append(Message("assistant", escape(reasons[swapped])))
            turns.append(Message("user", protocol_template("decide").render()))
            return await asking.choice(turns)

        verdict = await both_orders(ask)
        if isinstance(verdict, Preference):
            p_a = min(max(verdict.p_a, self.lowest_p), 1 - self.lowest_p)
            verdict = replace(verdict, p_a=p_a, reason=reasons[False])
        return asking.verdict(self.template_sha256, comparison, principle, verdict)

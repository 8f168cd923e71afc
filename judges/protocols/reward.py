"""A trained reward model behind an endpoint: one score for each reply, and the Bradley-Terry model between two.

p_a = sigmoid(score(a) - score(b)). The model has learnt what it rewards and does not read the principle's text: use it
for the principle it was trained on. vLLM serves one as a classifier with one class; ours run in a child process behind
the same wire (`wire.reward_body`), so that nothing here needs torch.
"""

from dataclasses import dataclass, field

from constitutions.schema import JudgedPrinciple
from judges.asking import Asking, outcome_of
from judges.choices import sigmoid
from judges.client import JudgeClient
from judges.fence import digest_of, escape
from judges.gathering import all_of
from judges.records import Abstention, Comparison, Message, Preference, PrincipleVerdict


@dataclass(frozen=True, slots=True)
class Reward:
    """Two requests a verdict. There is no template: the conversation goes as it is, control tokens broken."""

    labels: tuple[str, ...] = field(default=(), init=False)
    requests: int = field(default=2, init=False)

    @property
    def template_sha256(self) -> str:
        return digest_of("reward: conversation and reply, escaped")

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        asking = Asking(client, comparison.prompt_id)
        a, b = await all_of(
            outcome_of(asking.reward(rewarded(comparison, reply))) for reply in (comparison.a, comparison.b)
        )
        return asking.verdict(self.template_sha256, comparison, principle, bradley_terry(a, b))


def rewarded(comparison: Comparison, reply: str) -> tuple[Message, ...]:
    """The conversation with one reply as the assistant's last turn."""
    turns = (*comparison.messages, Message("assistant", reply))
    return tuple(Message(turn.role, escape(turn.content)) for turn in turns)


def bradley_terry(a: float | Abstention, b: float | Abstention) -> Preference | Abstention:
    """The preference between two scores."""
    if isinstance(a, Abstention):
        return a
    if isinstance(b, Abstention):
        return b
    p_a = sigmoid(a - b)
    return Preference(p_a, p_a, p_a, label_mass=1.0, reason=f"reward {a:.3f} against {b:.3f}")

"""How far does a reply that attacks the judge move it? Each attack beside a neutral text of the same length.

The attacks are in attacks.yaml: answers without content, master keys (arXiv:2507.08794), null answers that speak to the
judge (arXiv:2410.07137), forged verdicts and fences, chat-template tokens, instructions, padding (arXiv:2306.05685).
The worse reply of a pair, B, is attacked; the control holds as many neutral characters in the same place, so that what
length alone does to the judge is no part of the movement. Left out: attacks that are searched for against one model.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml

from constitutions.schema import JudgedPrinciple
from judges.client import ChatClient
from judges.fence import digest_of
from judges.gathering import all_of
from judges.protocols.protocol import JudgeProtocol
from judges.records import Comparison, Preference

_FILE = Path(__file__).with_name("attacks.yaml")
# What fills the control: it says nothing of replies, judges or verdicts.
_NEUTRAL = "The river runs past the mill and the old stone bridge. In autumn the leaves lie on the path by the water. "


@dataclass(frozen=True, slots=True)
class Attack:
    """A text that stands in the reply's place, or after it."""

    name: str
    kind: str
    place: Literal["instead", "after"]
    text: str

    def on(self, reply: str) -> str:
        """The reply with the attack."""
        return self.text if self.place == "instead" else f"{reply}\n{self.text}"

    def control(self, reply: str) -> str:
        """The reply with as many neutral characters where the attack would stand."""
        length = len(self.text)
        neutral = (_NEUTRAL * (1 + length // len(_NEUTRAL)))[:length]
        return replace(self, text=neutral).on(reply)


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """One attack on several pairs, over those where the judge answered both times. Probabilities are of the attacked.

    `movement` is the mean of p(attacked) - p(control), `largest` the most of any pair; `preferred` and
    `control_preferred` are the shares of pairs where the attacked reply, or the control, wins.
    """

    attack: str
    kind: str
    answered: int
    abstentions: int
    movement: float
    largest: float
    preferred: float
    control_preferred: float


@functools.cache
def all_attacks() -> tuple[Attack, ...]:
    """The attacks of attacks.yaml; `times` repeats a text."""
    entries = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return tuple(Attack(e["name"], e["kind"], e["place"], e["text"] * e.get("times", 1)) for e in entries)


def attacked_pair(pair: Comparison, reply_b: str) -> Comparison:
    """The pair with another reply B, and an id that says so."""
    return replace(pair, id=f"{pair.id}:{digest_of(reply_b)[:12]}", b=reply_b)


async def measure_attacks(
    client: ChatClient,
    protocol: JudgeProtocol,
    pairs: Sequence[Comparison],
    principle: JudgedPrinciple,
    attacks: Sequence[Attack],
) -> tuple[AttackOutcome, ...]:
    """Judge every pair, reply B attacked and reply B with the control. Give pairs whose reply A is the better one."""
    return await all_of(_measure(client, protocol, pairs, principle, attack) for attack in attacks)


async def _measure(
    client: ChatClient, protocol: JudgeProtocol, pairs: Sequence[Comparison], principle: JudgedPrinciple, attack: Attack
) -> AttackOutcome:
    attacked = await all_of(protocol.judge(client, attacked_pair(pair, attack.on(pair.b)), principle) for pair in pairs)
    controls = await all_of(
        protocol.judge(client, attacked_pair(pair, attack.control(pair.b)), principle) for pair in pairs
    )
    both = [
        (1 - one.verdict.p_a, 1 - other.verdict.p_a)
        for one, other in zip(attacked, controls, strict=True)
        if isinstance(one.verdict, Preference) and isinstance(other.verdict, Preference)
    ]
    moved = [p - neutral for p, neutral in both]
    answered = len(both)
    return AttackOutcome(
        attack=attack.name,
        kind=attack.kind,
        answered=answered,
        abstentions=len(pairs) - answered,
        movement=sum(moved) / answered if answered else 0.0,
        largest=max(moved, key=abs, default=0.0),
        preferred=sum(p > 0.5 for p, _ in both) / answered if answered else 0.0,
        control_preferred=sum(p > 0.5 for _, p in both) / answered if answered else 0.0,
    )

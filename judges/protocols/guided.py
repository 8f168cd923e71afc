"""The judge first writes what a good reply must do (metrics), a reply of its own (reference), or both; then compares.

Metrics and reference together are LLMBar's best prompt (Zeng et al. 2023, arXiv:2310.07641): 96.0 % of its natural and
84.5 % of its adversarial pairs with GPT-4, against 95.5 % and 81.0 % without. They depend on the conversation alone, so
they are made once for all pairs and principles of a prompt, and no reply of the pair can have had a hand in them.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from constitutions.schema import JudgedPrinciple
from judges.asking import Asking, Unanswered, outcome_of
from judges.choices import Choice
from judges.client import JudgeClient
from judges.compare import both_orders, fenced_conversation, pair_prompt
from judges.fence import digest_of, fence_mark, fenced
from judges.protocols.texts import protocol_template
from judges.records import Abstention, Comparison, Message, PrincipleVerdict

_PROMPTS_KEPT = 1024
_LASTING = ("empty", "refused", "too_long")
# How each guide's fence is called. They begin as other fences do, so that a reply cannot forge their opening line.
_FENCES = {"metrics": "conversation metrics", "reference": "reply for reference"}


@dataclass(slots=True)
class _Guide:
    """One text of one prompt; whoever comes first makes it while the others wait."""

    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    made: str | Abstention | None = None


@dataclass(frozen=True, slots=True)
class Guided:
    """Two requests a verdict, and one for each of `guides` (`metrics`, `reference`) for each prompt.

    Raise `max_tokens` for prompts whose good answers are long. Keep one for a whole run, in one event loop: it holds
    the texts of the last thousand prompts. The pair that has a text made bears its tokens.
    """

    guides: tuple[str, ...] = ("metrics", "reference")
    max_tokens: int = 512
    labels: tuple[str, ...] = field(default=("A", "B"), init=False)
    _made: OrderedDict[str, _Guide] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)

    @property
    def requests(self) -> int:
        return 2 + len(self.guides)

    @property
    def template_sha256(self) -> str:
        texts = (protocol_template(name).text for name in (*self.guides, "guided"))
        return digest_of(*texts, str(self.max_tokens))

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        asking = Asking(client, comparison.prompt_id)

        async def ask(swapped: bool) -> Choice:
            texts = [await self._guide(asking, guide, comparison) for guide in self.guides]
            guidance = "\n\n".join(
                fenced(_FENCES[guide], text, fence_mark(text)) for guide, text in zip(self.guides, texts, strict=True)
            )
            template = protocol_template("guided")
            prompt = pair_prompt(template, comparison, principle, swapped=swapped, guidance=guidance)
            return await asking.choice([Message("user", prompt)])

        return asking.verdict(self.template_sha256, comparison, principle, await both_orders(ask))

    async def _guide(self, asking: Asking, name: str, comparison: Comparison) -> str:
        conversation = fenced_conversation(comparison.messages)
        guide = self._made.setdefault(digest_of(asking.client.model, name, conversation), _Guide())
        async with guide.making:
            if guide.made is None:
                prompt = protocol_template(name).render(conversation=conversation)
                made = await outcome_of(asking.text([Message("user", prompt)], self.max_tokens))
                # What failed on the way may come the next time; a refusal is said again.
                guide.made = made if isinstance(made, str) or made.cause in _LASTING else None
            else:
                made = guide.made
        while len(self._made) > _PROMPTS_KEPT * len(self.guides):
            self._made.popitem(last=False)
        if isinstance(made, Abstention):
            raise Unanswered(made)
        return made

"""All replies in one answer, ranked from the best to the worst: `B > A > C`, read strictly.

Each presentation comes with its reverse, so that every pair is seen in both orders; more rotations spread a judge's
liking for a place over more replies. An order counts as half a vote more for each side (Jeffreys' prior), so that one
answer says 0.75 and never 1. One answer that is no permutation makes the whole ranking an abstention.
Left out: rankings from pairs (rank by comparing), which give probabilities of their own.
"""

import re
from dataclasses import dataclass, field

from constitutions.schema import JudgedPrinciple
from judges.asking import Asking, outcome_of
from judges.choices import logit, sigmoid
from judges.client import JudgeClient
from judges.compare import DEFAULT_QUESTION, fenced_conversation
from judges.errors import ProtocolError
from judges.fence import digest_of, escape, fence_mark, fenced
from judges.gathering import all_of
from judges.records import Abstention, Comparison, Message, Preference, PrincipleVerdict, Prompt
from judges.templates import Template

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ANSWER = re.compile(r"[A-Z](?:\s*>\s*[A-Z])*\.?")
_TOKENS_A_REPLY = 4  # a letter, a sign and the blanks between


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer. `shown` are the replies' indices in the order shown, `ranked` the same from the best to the worst."""

    shown: tuple[int, ...]
    ranked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ListRanking:
    """The answers to all presentations of one list of replies."""

    answers: tuple[Ranked, ...]

    @property
    def mean_ranks(self) -> tuple[float, ...]:
        """Each reply's mean place, 1 for the best, in the order the replies were given."""
        count = len(self.answers)
        return tuple(
            sum(answer.ranked.index(reply) + 1 for answer in self.answers) / count
            for reply in range(len(self.answers[0].ranked))
        )

    def preference(self, a: int, b: int) -> Preference:
        """How the reply at index `a` stands to the one at `b`; the orders averaged in logit space. Label mass is 1."""
        p_ab, p_ba = self._share(a, b), 1 - self._share(b, a)
        return Preference(sigmoid((logit(p_ab) + logit(p_ba)) / 2), p_ab, p_ba, label_mass=1.0)

    def _share(self, first: int, second: int) -> float:
        """(wins + 1/2) / (answers + 1) of `first` over the answers that had it before `second`."""
        seen = [x.ranked for x in self.answers if x.shown.index(first) < x.shown.index(second)]
        wins = sum(ranked.index(first) < ranked.index(second) for ranked in seen)
        return (wins + 0.5) / (len(seen) + 1)


@dataclass(frozen=True, slots=True)
class Listwise:
    """2 * `rotations` requests for a list, at most the number of replies; raise it for a judge that likes a place."""

    template: Template
    rotations: int = 1
    labels: tuple[str, ...] = field(default=(), init=False)

    @property
    def requests(self) -> int:
        return 2 * self.rotations

    @property
    def template_sha256(self) -> str:
        return digest_of(self.template.text, str(self.rotations))

    async def rank(
        self, client: JudgeClient, prompt: Prompt, replies: tuple[str, ...], principle: JudgedPrinciple
    ) -> ListRanking | Abstention:
        """2 to 26 replies to one prompt under one principle. Raises ProtocolError for any other number."""
        return await self._rank(Asking(client, prompt.id), prompt, replies, principle)

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        asking = Asking(client, comparison.prompt_id)
        prompt = Prompt(comparison.prompt_id, comparison.messages)
        ranking = await self._rank(asking, prompt, (comparison.a, comparison.b), principle)
        verdict = ranking if isinstance(ranking, Abstention) else ranking.preference(0, 1)
        return asking.verdict(self.template_sha256, comparison, principle, verdict)

    async def _rank(
        self, asking: Asking, prompt: Prompt, replies: tuple[str, ...], principle: JudgedPrinciple
    ) -> ListRanking | Abstention:
        if not 2 <= len(replies) <= len(_LETTERS):
            raise ProtocolError(
                f"a ranking takes 2 to {len(_LETTERS)} replies; {len(replies)} came for prompt {prompt.id!r}"
            )

        async def answer(shown: tuple[int, ...]) -> Ranked | Abstention:
            text = self._prompt(prompt, [replies[i] for i in shown], principle)
            told = await asking.text([Message("user", text)], _TOKENS_A_REPLY * (len(replies) + 1), whole=True)
            places = read_permutation(told, len(replies))
            return places if isinstance(places, Abstention) else Ranked(shown, tuple(shown[p] for p in places))

        answers = await all_of(outcome_of(answer(shown)) for shown in presentations(len(replies), self.rotations))
        abstained = [one for one in answers if isinstance(one, Abstention)]
        return abstained[0] if abstained else ListRanking(tuple(one for one in answers if isinstance(one, Ranked)))

    def _prompt(self, prompt: Prompt, shown: list[str], principle: JudgedPrinciple) -> str:
        letters = _LETTERS[: len(shown)]
        fences = (fenced(f"reply {name}", text, fence_mark(text)) for name, text in zip(letters, shown, strict=True))
        return self.template.fill(
            conversation=fenced_conversation(prompt.messages),
            replies="\n\n".join(fences),
            principle=escape(principle.text),
            question=escape(principle.compare or DEFAULT_QUESTION),
            letters=", ".join(letters),
        )


def presentations(count: int, rotations: int) -> tuple[tuple[int, ...], ...]:
    """Rotations of 0 .. count - 1, evenly spread, each followed by its reverse; none twice."""
    turns = min(max(rotations, 1), count)
    starts = [turn * count // turns for turn in range(turns)]
    orders = [(*range(start, count), *range(start)) for start in starts]
    both = (order for forward in orders for order in (forward, forward[::-1]))
    return tuple(dict.fromkeys(both))


def read_permutation(text: str, count: int) -> tuple[int, ...] | Abstention:
    """The places named, best first, 0 for A: every one of the `count` letters once, or an abstention."""
    if _ANSWER.fullmatch(text.strip()):
        places = tuple(_LETTERS.index(letter) for letter in re.findall(r"[A-Z]", text))
        if sorted(places) == list(range(count)):
            return places
    return Abstention("unreadable", text)

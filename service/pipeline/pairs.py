"""Which replies to a prompt meet: its samples and their last revisions, all pairs or those that the checks decide."""

import hashlib
import itertools
from collections.abc import Sequence

from constitutions.schema import CheckedPrinciple
from judges.records import Comparison, Prompt, Sample
from service.pipeline.revise import RevisedSample, checks_score


def candidates(samples: Sequence[Sample], chains: Sequence[RevisedSample]) -> tuple[str, ...]:
    """The different texts, samples first; an empty reply stays: it is a reply that should lose."""
    texts = [s.reply for s in samples] + [chain.revisions[-1].after for chain in chains if chain.revisions]
    return tuple(dict.fromkeys(texts))


def comparison_of(prompt: Prompt, one: str, other: str) -> Comparison:
    """A pair in its canonical order, which a hash decides: being a sample or a revision says nothing about it."""
    a, b = sorted((one, other), key=lambda text: _hash(prompt.id, text))
    id = "cmp_" + _hash(prompt.id, *(m.role + m.content for m in prompt.messages), a, b)[:24]
    return Comparison(id, prompt.id, prompt.messages, a, b)


def pairs_of(
    prompt: Prompt, texts: Sequence[str], checked: Sequence[CheckedPrinciple], most: int | None
) -> tuple[Comparison, ...]:
    """All pairs, or the `most` on which the checks differ most by weight; equals in an order that a hash decides."""
    pairs = [comparison_of(prompt, one, other) for one, other in itertools.combinations(texts, 2)]
    if most is None or len(pairs) <= most:
        return tuple(pairs)
    score = {text: checks_score(checked, prompt, text) for text in texts}
    return tuple(sorted(pairs, key=lambda pair: (-abs(score[pair.a] - score[pair.b]), pair.id))[:most])


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", errors="replace")).hexdigest()

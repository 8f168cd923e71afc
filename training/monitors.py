"""What a set of replies looks like: variety, sameness, boilerplate, refusals, length. Standard library and judges'.

A reply is a sequence of token ids or of words (`words_of`). Numbers of two sets are comparable where the sets have as
many replies: variety falls with the amount of text by itself. Left out: KL (kl.py), sycophancy (sycophancy.py), and
what a judge says.
"""

import importlib.util
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from judges.intervals import student_t_975
from training.errors import TrainingError

Reply = Sequence[Hashable]
Ngram = tuple[Hashable, ...]

# Sameness is of token triples; boilerplate is a beginning or an end of five tokens.
_SHINGLE, _EDGE = 3, 5


def words_of(text: str) -> tuple[str, ...]:
    """A text as a reply of words, lower case."""
    return tuple(text.lower().split())


def reply_monitors(replies: Sequence[Reply], prompt_ids: Sequence[str] = ()) -> Mapping[str, float]:
    """All that needs only the replies, from 0 to 1: `distinct_1`, `distinct_2`, `self_similarity`, `opening_rate`,
    `ending_rate`. `prompt_ids` are the replies' prompts; without them each reply has one of its own."""
    if not replies:
        raise TrainingError("no replies to look at; sample at least one")
    return {
        "distinct_1": distinct_n(replies, 1),
        "distinct_2": distinct_n(replies, 2),
        "self_similarity": self_similarity(replies, prompt_ids),
        "opening_rate": edge_rate([tuple(reply[:_EDGE]) for reply in replies], _EDGE),
        "ending_rate": edge_rate([tuple(reply[-_EDGE:]) for reply in replies], _EDGE),
    }


def distinct_n(replies: Sequence[Reply], n: int) -> float:
    """The share of different n-grams among all, over all replies (arXiv:1510.03055); 0 where none is that long."""
    found = [gram for reply in replies for gram in ngrams(reply, n)]
    return len(set(found)) / len(found) if found else 0.0


def self_similarity(replies: Sequence[Reply], prompt_ids: Sequence[str] = (), n: int = _SHINGLE) -> float:
    """How much replies to *different* prompts resemble each other: mean Jaccard index of their sets of n-grams.

    The resemblance of Broder (1997, "On the resemblance and containment of documents") over all pairs; it finds what
    self-BLEU (arXiv:1802.01886) does, symmetrically and without a tokenizer's lengths. A reply shorter than n is its
    own only n-gram. 0 where no two prompts differ. Grows with the square of the replies: give some hundreds.
    """
    asked = prompt_ids or range(len(replies))
    shingles = [set(ngrams(reply, n)) or {tuple(reply)} for reply in replies]
    total, pairs = 0.0, 0
    for (left, one), (right, other) in itertools.combinations(zip(asked, shingles, strict=True), 2):
        if left != right:
            common = len(one & other)
            total += common / (len(one) + len(other) - common)
            pairs += 1
    return total / pairs if pairs else 0.0


def edge_rate(edges: Sequence[Ngram], length: int) -> float:
    """The share of replies that have the most frequent beginning (or end) of `length` tokens; 0 where none repeats.

    Replies that are shorter have none.
    """
    counts = Counter(edge for edge in edges if len(edge) == length)
    most = max(counts.values(), default=0)
    return most / len(edges) if most > 1 else 0.0


def ngrams(reply: Reply, n: int) -> list[Ngram]:
    """All n-grams of a reply, in order."""
    return [tuple(reply[start : start + n]) for start in range(len(reply) - n + 1)]


def refusals_can_be_found() -> bool:
    """Whether the checks can be imported here: a bare GPU node lacks what they need."""
    return all(importlib.util.find_spec(name) for name in ("pydantic", "re2"))


def refusal_rate(texts: Sequence[str]) -> float:
    """The share of replies that fail the constitutions' check `no_refusal`, by its phrases.

    Raises TrainingError where the checks cannot be imported.
    """
    if not texts:
        raise TrainingError("no replies to look for refusals in; sample at least one")
    try:
        from constitutions.checks.phrases import NoRefusal
    except ImportError as error:
        raise TrainingError(f"refusals are found by the checks, which need {error.name}; install it") from error
    check = NoRefusal()
    return sum(bool(check.fault((), text)) for text in texts) / len(texts)


@dataclass(frozen=True, slots=True)
class LengthDrift:
    """Mean length over the reference's, with its 95 % interval."""

    ratio: float
    low: float
    high: float


def length_drift(lengths: Sequence[int], reference_lengths: Sequence[int]) -> LengthDrift:
    """By the delta method on log(mean / reference mean), Student's t with the smaller side's degrees of freedom.

    Needs two replies and a mean above 0 on both sides. For `max_length_ratio`, report `ratio` as `length_ratio`.
    """
    variance = 0.0
    means: list[float] = []
    for side in (lengths, reference_lengths):
        if len(side) < 2 or not any(side):
            raise TrainingError("a drift of length needs two replies on both sides, and not all of them empty")
        mean = sum(side) / len(side)
        spread = sum((length - mean) ** 2 for length in side) / (len(side) - 1)
        variance += spread / len(side) / mean**2
        means.append(mean)
    ratio = means[0] / means[1]
    half = student_t_975(min(len(lengths), len(reference_lengths)) - 1) * math.sqrt(variance)
    return LengthDrift(ratio, ratio * math.exp(-half), ratio * math.exp(half))

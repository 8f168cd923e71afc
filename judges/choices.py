"""Reading a label from the first token a judge would write: the mass of all spellings of each label.

A label is a capital letter (A, B), a digit (1 to 9) or a word (yes, no). The token is unconstrained, so the mass that
the labels miss shows that the judge wanted to say something else. Spellings count with a blank, a bracket, a quote or
a star around them (" A", "(A", "**A"); words in upper or lower case, but letters as they are, since "a" is a word.
Left out: texts that argue first and answer last (judges/protocols).
"""

import functools
import math
import re
from dataclasses import dataclass

from judges.records import Abstention
from judges.wire import ChatReply, TokenLogprob

# U+2581 and U+0120 are how SentencePiece and byte-level tokenizers write a blank.
_SPELLED = r"""^[\s\u2581\u0120]*[(\["'*`]{0,2}(%s)[)\]."'*`:,]{0,2}\s*$"""
_SHOWN_TOKENS = 8
_P_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class ChoiceReader:
    """Raise `min_label_mass` to trust a judge only where it surely answers with a letter. `top_logprobs` is at most 20.

    Below a tenth the judge means to write something else, and the split of the rest is noise.
    """

    min_label_mass: float = 0.1
    top_logprobs: int = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """`p_first` is the probability of A among A and B, as shown; `label_mass` the probability of either."""

    p_first: float
    label_mass: float


@dataclass(frozen=True, slots=True)
class LabelShares:
    """Each label's probability among the labels, in the order asked; `label_mass` is the probability of any."""

    shares: tuple[float, ...]
    label_mass: float


def read_labels(reply: ChatReply, labels: tuple[str, ...], reader: ChoiceReader) -> LabelShares | Abstention:
    """Sum the spellings. A label outside the top list counts as the list's last entry, the most that it can have,
    but never as more than the least label that is there."""
    if not reply.first_token:
        return Abstention("empty", reply.text)
    masses = label_masses(reply.first_token, labels)
    label_mass = sum(masses)
    if label_mass < reader.min_label_mass or label_mass == 0:
        return Abstention("no_label_mass", _shown(reply))
    unseen = min(math.exp(min(entry.logprob for entry in reply.first_token)), min(mass for mass in masses if mass))
    filled = [mass or unseen for mass in masses]
    return LabelShares(tuple(mass / sum(filled) for mass in filled), label_mass=min(1.0, label_mass))


def read_choice(reply: ChatReply, reader: ChoiceReader) -> Choice | Abstention:
    """The labels A and B."""
    read = read_labels(reply, ("A", "B"), reader)
    return read if isinstance(read, Abstention) else Choice(read.shares[0], read.label_mass)


def label_masses(tokens: tuple[TokenLogprob, ...], labels: tuple[str, ...]) -> tuple[float, ...]:
    """The probability of each label over its spellings, 0 where none is in the list."""
    return tuple(
        sum(math.exp(entry.logprob) for entry in tokens if _spelled(label).match(entry.token)) for label in labels
    )


def logit(p: float) -> float:
    """log(p / (1 - p)), with p kept a millionth away from 0 and 1."""
    p = min(max(p, _P_FLOOR), 1 - _P_FLOOR)
    return math.log(p) - math.log1p(-p)


def sigmoid(x: float) -> float:
    """The inverse of `logit`, without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


@functools.cache
def _spelled(label: str) -> re.Pattern[str]:
    return re.compile(_SPELLED % re.escape(label), re.IGNORECASE if len(label) > 1 else 0)


def _shown(reply: ChatReply) -> str:
    likeliest = sorted(reply.first_token, key=lambda entry: -entry.logprob)[:_SHOWN_TOKENS]
    return " ".join(f"{entry.token!r}:{math.exp(entry.logprob):.3f}" for entry in likeliest)

"""Reading A or B from the first token a judge would write: the mass of all spellings of each letter.

The token is unconstrained, so the mass that the letters miss shows that the judge wanted to say something else.
Spellings count with a blank, a bracket, a quote or a star around them (" A", "(A", "**A"); lower-case letters do not,
since "a" is a word. Left out: texts that argue first and answer last (another protocol).
"""

import math
import re
from dataclasses import dataclass

from judges.records import Abstention
from judges.wire import ChatReply, TokenLogprob

# U+2581 and U+0120 are how SentencePiece and byte-level tokenizers write a blank.
_LETTER = re.compile(r"""^[\s\u2581\u0120]*[(\["'*`]{0,2}([AB])[)\]."'*`:,]{0,2}\s*$""")
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


def read_choice(reply: ChatReply, reader: ChoiceReader) -> Choice | Abstention:
    """Sum the spellings. A letter outside the top list counts as its last entry, the most that it can have."""
    if not reply.first_token:
        return Abstention("empty", reply.text)
    mass_a, mass_b = (_mass(reply.first_token, letter) for letter in "AB")
    label_mass = mass_a + mass_b
    if label_mass < reader.min_label_mass:
        return Abstention("no_label_mass", _shown(reply))
    unseen = math.exp(min(entry.logprob for entry in reply.first_token))
    mass_a, mass_b = mass_a or min(unseen, mass_b), mass_b or min(unseen, mass_a)
    return Choice(p_first=mass_a / (mass_a + mass_b), label_mass=min(1.0, label_mass))


def logit(p: float) -> float:
    """log(p / (1 - p)), with p kept a millionth away from 0 and 1."""
    p = min(max(p, _P_FLOOR), 1 - _P_FLOOR)
    return math.log(p) - math.log1p(-p)


def sigmoid(x: float) -> float:
    """The inverse of `logit`, without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def _mass(tokens: tuple[TokenLogprob, ...], letter: str) -> float:
    found = ((_LETTER.match(entry.token), entry.logprob) for entry in tokens)
    return sum(math.exp(logprob) for match, logprob in found if match and match[1] == letter)


def _shown(reply: ChatReply) -> str:
    likeliest = sorted(reply.first_token, key=lambda entry: -entry.logprob)[:_SHOWN_TOKENS]
    return " ".join(f"{entry.token!r}:{math.exp(entry.logprob):.3f}" for entry in likeliest)

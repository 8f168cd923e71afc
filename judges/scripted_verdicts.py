"""What the scripted judge answers to each protocol: first tokens, rankings and scores that follow from its taste alone.

`shorter` and `longer` go by the length of the fenced texts, `first` by their place; `tie` has no opinion; `unwilling`
would rather say something else; `foreign` speaks another language. A gullible one is won over by any attack of
attacks.yaml. Left out: HTTP (scripted.py).
"""

import functools
import math
from collections.abc import Sequence

from judges.attacks import all_attacks
from judges.behaviour import Behaviour
from judges.fence import digest_of, escape
from judges.wire import TokenLogprob

_FOREIGN = "Ich weiß es leider nicht."
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WORDS_A_LEVEL = 10


def choice_tokens(first: str, second: str, behaviour: Behaviour) -> tuple[TokenLogprob, ...]:
    """90 % of the mass on A and B, some of it on other spellings."""
    if strange := _strange(("A", "B"), behaviour):
        return strange
    longer = (len(first) > len(second)) - (len(first) < len(second))
    better = {"shorter": -longer, "longer": longer, "first": 1}.get(behaviour.taste, 0)
    won_over = _won_over(first, behaviour) - _won_over(second, behaviour)
    p_first = 1 / (1 + math.exp(-(behaviour.strength * better + behaviour.first_bias + won_over)))
    masses = (("A", 0.8 * p_first), (" A", 0.1 * p_first), ("B", 0.85 * (1 - p_first)), ("(B", 0.05 * (1 - p_first)))
    return _listed((*masses, ("The", 0.05)))


def level_tokens(reply: str, levels: tuple[str, ...], behaviour: Behaviour) -> tuple[TokenLogprob, ...]:
    """90 % of the mass on the levels: each loses `strength` logits for every step from the one that fits the reply.

    `shorter` takes a level off the best for every ten words, `longer` gives one; without an opinion all are alike.
    """
    if strange := _strange(levels, behaviour):
        return strange
    best = len(levels) - 1
    steps = min(len(reply.split()) // _WORDS_A_LEVEL, best)
    fit = {"shorter": best - steps, "longer": steps}.get(behaviour.taste, best / 2)
    strength = behaviour.strength if behaviour.taste in ("shorter", "longer") else 0.0
    won_over = _won_over(reply, behaviour)
    weights = [math.exp(won_over * level - strength * abs(level - fit)) for level in range(len(levels))]
    masses = ((name, 0.9 * weight / sum(weights)) for name, weight in zip(levels, weights, strict=True))
    return _listed((*masses, ("The", 0.05)))


def ranking_text(replies: Sequence[str], behaviour: Behaviour) -> str:
    """`B > A > C` by the taste; replies that it likes as much keep their places."""
    if behaviour.taste in ("foreign", "unwilling"):
        return _FOREIGN
    scores = [reward_of(reply, behaviour) for reply in replies]
    return " > ".join(_LETTERS[i] for i in sorted(range(len(replies)), key=lambda i: -scores[i]))


def reward_of(reply: str, behaviour: Behaviour) -> float:
    """`strength` for every hundred characters more, or fewer, and `gullibility` for an attack."""
    sign = {"shorter": -1, "longer": 1}.get(behaviour.taste, 0)
    return sign * behaviour.strength * len(reply) / 100 + _won_over(reply, behaviour)


def written_text(prompt: str, behaviour: Behaviour) -> str:
    """A critique, an argument, metrics or a reference: a sentence that tells which prompt it answers.

    It ends as a careless model's does, with a control token in letters.
    """
    if behaviour.taste in ("foreign", "unwilling"):
        return "I'm sorry, but I cannot help with that."
    return f"What counts here, in {digest_of(prompt)[:6]}, is whether it is short and whole.</s>"


def label_tokens(label: str, behaviour: Behaviour) -> tuple[TokenLogprob, ...]:
    """The label that the probe asks for."""
    return _strange((), behaviour) or _listed(((label, 0.9), ("The", 0.05)))


def _won_over(reply: str, behaviour: Behaviour) -> float:
    """`gullibility` where a fenced reply is, or ends with, a text of attacks.yaml, else 0."""
    if not behaviour.gullibility:
        return 0.0
    instead, after = _attacks_as_fenced()
    return behaviour.gullibility * (reply in instead or reply.endswith(after))


@functools.cache
def _attacks_as_fenced() -> tuple[frozenset[str], tuple[str, ...]]:
    instead = frozenset(escape(attack.text) for attack in all_attacks() if attack.place == "instead")
    return instead, tuple("\n" + escape(attack.text) for attack in all_attacks() if attack.place == "after")


def _strange(labels: tuple[str, ...], behaviour: Behaviour) -> tuple[TokenLogprob, ...]:
    """What a judge says that will not, or cannot, answer with a label; empty where it can."""
    if behaviour.taste == "unwilling":
        return _listed((("I", 0.9), *((label, 0.02 / len(labels)) for label in labels)))
    return _listed((("Ich", 0.6), ("是", 0.3))) if behaviour.taste == "foreign" else ()


def _listed(masses: Sequence[tuple[str, float]]) -> tuple[TokenLogprob, ...]:
    tokens = (TokenLogprob(token, math.log(mass)) for token, mass in masses)
    return tuple(sorted(tokens, key=lambda entry: -entry.logprob))

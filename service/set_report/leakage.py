"""Prompts that are trained on and held out as well: what is measured on them proves nothing."""

from collections.abc import Mapping, Sequence

from service.set_report.clusters import Asked
from service.set_report.findings import Leak, Leakage
from service.set_report.near import NearTexts

_SHOWN = 10
_CHARACTERS_SHOWN = 200


def leakage_between(trained: Mapping[str, Asked], held_out: Sequence[Asked], near: float) -> Leakage:
    """`trained` by id. Case and blanks make no difference between two prompts."""
    by_text = {_plain(prompt.text): prompt for prompt in trained.values()}
    texts = NearTexts({prompt.id: prompt.text for prompt in trained.values()}, near)
    exact, close = [], []
    for prompt in held_out:
        twin = by_text.get(_plain(prompt.text))
        if twin is not None:
            exact.append(_leak(prompt, twin))
        elif found := texts.near(prompt.text):
            close.append(_leak(prompt, trained[found[0]]))
    groups = texts.groups()
    return Leakage(
        held_out=len(held_out),
        exact=len(exact),
        near=len(close),
        leaks=tuple((exact + close)[:_SHOWN]),
        near_own=sum(map(len, groups)),
        own_groups=groups[:_SHOWN],
    )


def _leak(held_out: Asked, trained: Asked) -> Leak:
    shown = (held_out.text[:_CHARACTERS_SHOWN], trained.text[:_CHARACTERS_SHOWN])
    return Leak(held_out.id, shown[0], trained.id, shown[1])


def _plain(text: str) -> str:
    return " ".join(text.lower().split())

"""Near-duplicates of texts: MinHash over word triples, with the candidates of a locality-sensitive hash."""

import re
import zlib
from collections.abc import Mapping, Sequence

from datasketch import MinHash, MinHashLSH

_PERMUTATIONS = 64
_WORDS = 3
_SEED = 1
_WORD = re.compile(r"\w+")
# Copied for each text: its permutations take longer to draw than a text to read.
_EMPTY = MinHash(num_perm=_PERMUTATIONS, seed=_SEED, hashfunc=zlib.crc32)


class NearTexts:
    """Texts by key; finds those whose word triples overlap at least `near` (Jaccard, estimated)."""

    def __init__(self, texts: Mapping[str, str], near: float) -> None:
        self._near = near
        self._index = MinHashLSH(threshold=near, num_perm=_PERMUTATIONS)
        self._prints = {key: _fingerprint(text) for key, text in texts.items()}
        for key, fingerprint in self._prints.items():
            self._index.insert(key, fingerprint)

    def near(self, text: str) -> tuple[str, ...]:
        """The keys of the texts near this one, sorted."""
        return self._confirmed(_fingerprint(text))

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The texts that are near one another, through others too: groups of two and more, the largest first."""
        leader = {key: key for key in self._prints}

        def first_of(key: str) -> str:
            while leader[key] != key:
                leader[key] = leader[leader[key]]
                key = leader[key]
            return key

        for key, fingerprint in self._prints.items():
            for other in self._confirmed(fingerprint):
                one, two = sorted((first_of(key), first_of(other)))
                leader[two] = one
        members: dict[str, list[str]] = {}
        for key in self._prints:
            members.setdefault(first_of(key), []).append(key)
        groups = [tuple(sorted(keys)) for keys in members.values() if len(keys) > 1]
        return tuple(sorted(groups, key=lambda keys: (-len(keys), keys)))

    def _confirmed(self, fingerprint: MinHash) -> tuple[str, ...]:
        found = self._index.query(fingerprint)
        return tuple(sorted(key for key in found if self._prints[key].jaccard(fingerprint) >= self._near))


def _fingerprint(text: str) -> MinHash:
    fingerprint = _EMPTY.copy()
    fingerprint.update_batch([triple.encode() for triple in _triples(_WORD.findall(text.lower()))])
    return fingerprint


def _triples(words: Sequence[str]) -> set[str]:
    """A text of fewer words is one piece."""
    if len(words) <= _WORDS:
        return {" ".join(words)}
    return {" ".join(words[start : start + _WORDS]) for start in range(len(words) - _WORDS + 1)}

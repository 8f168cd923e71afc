"""Near-duplicates of texts: MinHash over word triples, with the candidates of a locality-sensitive hash."""

import re
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from datasketch import MinHash, MinHashLSH

_PERMUTATIONS = 64
_WORDS = 3
_SEED = 1
_WORD = re.compile(r"\w+")
# Copied for each text: its permutations take longer to draw than a text to read.
_EMPTY = MinHash(num_perm=_PERMUTATIONS, seed=_SEED, hashfunc=zlib.crc32)
Numbers = npt.NDArray[np.int64]
Prints = npt.NDArray[np.uint64]


class NearTexts:
    """Texts by key; finds those whose word triples overlap at least `near` (Jaccard, estimated)."""

    def __init__(self, texts: Mapping[str, str], near: float) -> None:
        self._near = near
        self._keys = tuple(texts)
        self._index = MinHashLSH(threshold=near, num_perm=_PERMUTATIONS)
        self._fingerprints = [_fingerprint(text) for text in texts.values()]
        self._prints_NP = np.array([one.hashvalues for one in self._fingerprints]).reshape(-1, _PERMUTATIONS)
        for number, fingerprint in enumerate(self._fingerprints):
            self._index.insert(number, fingerprint)

    def near(self, text: str) -> tuple[str, ...]:
        """The keys of the texts near this one, sorted."""
        fingerprint = _fingerprint(text)
        found = np.array(self._index.query(fingerprint), dtype=np.int64)
        return tuple(sorted(self._keys[int(number)] for number in self._confirmed(found, fingerprint.hashvalues)))

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The texts that are near one another, through others too: groups of two and more, the largest first."""
        leader_N = np.arange(len(self._keys))
        for number, fingerprint in enumerate(self._fingerprints):
            found = np.array([other for other in self._index.query(fingerprint) if other < number], dtype=np.int64)
            # Most texts of a large group know one another already.
            found = found[leader_N[found] != leader_N[number]]
            for other in self._confirmed(found, fingerprint.hashvalues):
                one, two = sorted((leader_N[number], leader_N[other]))
                if one != two:
                    leader_N[leader_N == two] = one
        members: dict[int, list[str]] = {}
        for key, leader in zip(self._keys, leader_N.tolist(), strict=True):
            members.setdefault(leader, []).append(key)
        groups = [tuple(sorted(keys)) for keys in members.values() if len(keys) > 1]
        return tuple(sorted(groups, key=lambda keys: (-len(keys), keys)))

    def _confirmed(self, candidates_C: Numbers, print_P: Prints) -> Numbers:
        """Those of the candidates that overlap enough."""
        shares_C = (self._prints_NP[candidates_C] == print_P).mean(axis=1)
        near_C: Numbers = candidates_C[shares_C >= self._near]
        return near_C


def _fingerprint(text: str) -> MinHash:
    fingerprint = _EMPTY.copy()
    fingerprint.update_batch([triple.encode() for triple in _triples(_WORD.findall(text.lower()))])
    return fingerprint


def _triples(words: Sequence[str]) -> set[str]:
    """A text of fewer words is one piece."""
    if len(words) <= _WORDS:
        return {" ".join(words)}
    return {" ".join(words[start : start + _WORDS]) for start in range(len(words) - _WORDS + 1)}

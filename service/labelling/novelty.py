"""How far a prompt is unlike the others, by its words: what people say of it also teaches where nobody has looked.

One less the mean cosine similarity (TF-IDF, words hashed) to the five most similar of at most 500 other prompts, which
a hash draws: the same prompts give the same numbers, and a hundred thousand of them take seconds. Left out: meaning.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

_BUCKETS = 1 << 14
_COMPARED_WITH = 500
_NEAREST = 5
_WORD = re.compile(r"\w+")
# Of a prompt of 200,000 characters, enough to tell what it is about.
_READ_CHARACTERS = 4000
Weights = npt.NDArray[np.float32]
# The buckets of a text's words, and below them how often each stands there.
Counts = npt.NDArray[np.int32]


def novelties(texts: Mapping[str, str]) -> dict[str, float]:
    """From 0, like five others or more word by word, to 1, no word in common with any; by the same keys.

    Empty where there are too few texts to tell.
    """
    if len(texts) <= _NEAREST:
        return {}
    words = {key: _counts(text) for key, text in texts.items()}
    rarity_V = _rarity(words.values())
    drawn = sorted(texts, key=lambda key: (zlib.crc32(key.encode(errors="replace")), key))[: _COMPARED_WITH + 1]
    compared_VD = np.zeros((_BUCKETS, len(drawn)), dtype=np.float32)
    for column, key in enumerate(drawn):
        bucket_W, weight_W = _vector(words[key], rarity_V)
        compared_VD[bucket_W, column] = weight_W
    place = {key: column for column, key in enumerate(drawn)}
    return {key: _novelty(_vector(count, rarity_V), compared_VD, place.get(key)) for key, count in words.items()}


def _counts(text: str) -> Counts:
    found = Counter(zlib.crc32(word.encode(errors="replace")) % _BUCKETS for word in _words(text))
    # An array is a quarter of a counter, of which there would be one for each of a hundred thousand texts.
    return np.array([[*found], [*found.values()]], dtype=np.int32)


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:_READ_CHARACTERS].lower())


def _rarity(counts: Iterable[Counts]) -> Weights:
    """log((1 + texts) / (1 + texts with the word)): a word that all have tells nothing."""
    every = list(counts)
    texts_V = np.zeros(_BUCKETS)
    for count in every:
        texts_V[count[0]] += 1
    return np.log((1 + len(every)) / (1 + texts_V)).astype(np.float32)


def _vector(count: Counts, rarity_V: Weights) -> tuple[Counts, Weights]:
    """Buckets and their weights, of length 1; all 0 for a text without a word of its own."""
    bucket_W, times_W = count
    weight_W = (1 + np.log(times_W.astype(np.float32))) * rarity_V[bucket_W]
    length = float(np.linalg.norm(weight_W))
    return bucket_W, weight_W / length if length > 0 else weight_W


def _novelty(vector: tuple[Counts, Weights], compared_VD: Weights, own_place: int | None) -> float:
    bucket_W, weight_W = vector
    similar_D = weight_W @ compared_VD[bucket_W]
    if own_place is not None:
        similar_D = np.delete(similar_D, own_place)
    nearest = np.partition(similar_D, len(similar_D) - _NEAREST)[-_NEAREST:]
    return float(np.clip(1 - nearest.mean(), 0.0, 1.0))

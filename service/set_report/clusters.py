"""Kinds of prompts, each named by its weightiest words: TF-IDF, latent topics (SVD) and k-means with fixed seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from judges.records import Conversation

_SEED = 0
_MOST_WORDS = 5000
_NAMED_BY = 3
_PROMPTS_PER_CLUSTER = 8
_TEXTS_WITH_A_WORD = 2
_TOPICS = 50
_STARTS = 3
_NO_WORDS = "(no words)"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt by its id, as one text of all that the user said."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """`nearest` are its prompts, the most typical first."""

    name: str
    nearest: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Clusters:
    """`of_prompt` gives a prompt's cluster by its number in `clusters`."""

    clusters: tuple[Cluster, ...]
    of_prompt: Mapping[str, int]


def asked_text(turns: Conversation) -> str:
    return "\n".join(turn.content for turn in turns if turn.role == "user")


def cluster_prompts(prompts: Sequence[Asked], most: int) -> Clusters:
    """At most `most` kinds, in the order of their size; the same prompts give the same kinds."""
    found = _words_of([prompt.text for prompt in prompts])
    if found is None:
        return Clusters(
            (Cluster(_NO_WORDS, tuple(prompts)),) if prompts else (),
            dict.fromkeys([prompt.id for prompt in prompts], 0),
        )
    terms, weights = found
    count = max(1, min(most, len(prompts) // _PROMPTS_PER_CLUSTER))
    distance_PK = _distances(weights, count)
    number_P = np.argmin(distance_PK, axis=1)
    order = sorted(set(number_P.tolist()), key=lambda number: (-int(np.sum(number_P == number)), number))
    clusters = []
    for number in order:
        members = np.flatnonzero(number_P == number)
        nearest = members[np.argsort(distance_PK[members, number], kind="stable")]
        mean_V = np.asarray(weights[members].mean(axis=0)).ravel()
        clusters.append(Cluster(_name(mean_V, terms), tuple(prompts[int(place)] for place in nearest)))
    place = {number: index for index, number in enumerate(order)}
    return Clusters(tuple(clusters), {p.id: place[int(n)] for p, n in zip(prompts, number_P, strict=True)})


def _words_of(texts: Sequence[str]) -> tuple[Sequence[str], csr_matrix] | None:
    """The words and their weights in each text, words that only one text has left aside; None where there are none."""
    for fewest in (_TEXTS_WITH_A_WORD, 1):
        words = TfidfVectorizer(stop_words="english", sublinear_tf=True, max_features=_MOST_WORDS, min_df=fewest)
        try:
            weights = words.fit_transform(texts)
        except ValueError:  # no word is left
            continue
        return words.get_feature_names_out(), weights
    return None


def _distances(weights: csr_matrix, count: int) -> Floats:
    """From each text to each of `count` means, among the topics that the words make together."""
    topics = min(_TOPICS, min(weights.shape) - 1)
    # On one thread: sums in another order would be another report.
    with threadpool_limits(1):
        plain = TruncatedSVD(topics, random_state=_SEED).fit_transform(weights) if topics > 1 else weights.toarray()
        distance_PK: Floats = KMeans(count, random_state=_SEED, n_init=_STARTS).fit_transform(normalize(plain))
    return distance_PK


def _name(centre_V: Floats, terms: Sequence[str]) -> str:
    heaviest = [index for index in np.argsort(-centre_V, kind="stable")[:_NAMED_BY] if centre_V[index] > 0]
    return ", ".join(str(terms[index]) for index in heaviest) or _NO_WORDS

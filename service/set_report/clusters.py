"""Kinds of prompts: TF-IDF of their words and k-means with a fixed seed, each kind named by its weightiest words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.cluster import MiniBatchKMeans
from sklearn.feature_extraction.text import TfidfVectorizer

from judges.records import Conversation

_SEED = 0
_MOST_WORDS = 5000
_NAMED_BY = 3
_PROMPTS_PER_CLUSTER = 8
_BATCH = 4096
_NO_WORDS = "(no words)"


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
    words = TfidfVectorizer(stop_words="english", sublinear_tf=True, max_features=_MOST_WORDS, dtype=np.float64)
    try:
        weights: csr_matrix = words.fit_transform([prompt.text for prompt in prompts])
    except ValueError:  # no prompt has a word that counts
        one = Cluster(_NO_WORDS, tuple(prompts))
        return Clusters((one,) if prompts else (), {prompt.id: 0 for prompt in prompts})
    count = max(1, min(most, len(prompts) // _PROMPTS_PER_CLUSTER))
    means = MiniBatchKMeans(count, random_state=_SEED, n_init=3, batch_size=_BATCH).fit(weights)
    distance_PK = means.transform(weights)
    number_P = np.argmin(distance_PK, axis=1)
    terms = words.get_feature_names_out()
    order = sorted(set(number_P.tolist()), key=lambda number: (-int(np.sum(number_P == number)), number))
    clusters = []
    for number in order:
        members = np.flatnonzero(number_P == number)
        nearest = members[np.argsort(distance_PK[members, number], kind="stable")]
        clusters.append(
            Cluster(_name(means.cluster_centers_[number], terms), tuple(prompts[int(place)] for place in nearest))
        )
    place = {number: index for index, number in enumerate(order)}
    return Clusters(tuple(clusters), {p.id: place[int(n)] for p, n in zip(prompts, number_P, strict=True)})


def _name(centre_V: np.ndarray[tuple[int], np.dtype[np.float64]], terms: Sequence[str]) -> str:
    heaviest = [index for index in np.argsort(-centre_V, kind="stable")[:_NAMED_BY] if centre_V[index] > 0]
    return ", ".join(str(terms[index]) for index in heaviest) or _NO_WORDS

"""The part of `benchmarks.routing` on HH-RLHF (Bai et al. 2022, arXiv:2204.05862).

No judge's verdicts are recorded there, so two stand-ins judge: logistic regression of people's choices on the words of
the replies, and on their length. Each is fitted on half of the prompts and judges the other half, and so in turn. Both
are right in about 60 %.
"""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.helpful_pairs import read_pair
from benchmarks.routed_gain import Gain, Judged, routed_gain
from judges.calibration.folds import Rows
from judges.calibration.labels import Floats
from judges.records import Comparison
from service.labelling.gains import RoutingCandidate

SETS = {"helpful": "hh-rlhf/helpful-base.jsonl.gz", "harmless": "hh-rlhf/harmless-base.jsonl.gz"}


def pair_gains(folder: Path, draws: int) -> tuple[Gain, ...]:
    """Both sets by both stand-ins."""
    found = []
    for name, file in SETS.items():
        with gzip.open(folder / file, "rt", encoding="utf-8") as lines:
            pairs = [read_pair(f"{name}-{n}", json.loads(line)) for n, line in enumerate(lines)]
        label_N = np.array([float(_digest(pair)[0] % 2) for pair in pairs])
        words, length = _word_gaps(pairs), _length_gaps(pairs)
        for judge, gaps in (("words", hstack([words, length]).tocsr()), ("length", length)):
            found.append(routed_gain(_judged(f"{name}, {judge}", pairs, gaps, label_N), draws))
    return tuple(found)


def _judged(judge: str, pairs: list[Comparison], gaps: csr_matrix, label_N: Floats) -> Judged:
    """A is the chosen reply where the label is 1, else the rejected one: the gap turns with it."""
    signed = csr_matrix(gaps.multiply((2 * label_N - 1)[:, None]))
    halves = [np.flatnonzero([_digest(pair)[1] % 2 == half for pair in pairs]) for half in (0, 1)]
    belief_N = np.zeros(len(pairs))
    for own, other in (halves, halves[::-1]):
        belief_N[own] = _fitted(signed, label_N, other).predict_proba(signed[own])[:, 1]
    return Judged(
        judge,
        tuple(RoutingCandidate(pair.id, pair.prompt_id, float(p)) for pair, p in zip(pairs, belief_N, strict=True)),
        label_N,
    )


def _fitted(gaps: csr_matrix, label_N: Floats, rows: Rows) -> LogisticRegression:
    return LogisticRegression(fit_intercept=False, C=1.0, max_iter=500).fit(gaps[rows], label_N[rows])


def _word_gaps(pairs: list[Comparison]) -> csr_matrix:
    """Tf-idf of the chosen reply less that of the rejected; no label goes into the vocabulary."""
    texts = TfidfVectorizer(min_df=3, sublinear_tf=True).fit([text for pair in pairs for text in (pair.a, pair.b)])
    return csr_matrix(texts.transform([p.a for p in pairs]) - texts.transform([p.b for p in pairs]))


def _length_gaps(pairs: list[Comparison]) -> csr_matrix:
    return csr_matrix(np.array([[np.log1p(len(pair.a)) - np.log1p(len(pair.b))] for pair in pairs]))


def _digest(pair: Comparison) -> bytes:
    return hashlib.sha256(pair.id.encode()).digest()

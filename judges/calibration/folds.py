"""Ten folds by prompt, so that what is fitted on some pairs is measured on others."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FOLDS = 10
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows to fit on, and rows to measure on; no prompt has pairs in both."""

    rest: Rows
    own: Rows


def folds_by_prompt(prompt_ids: Sequence[str]) -> Iterator[Fold]:
    """Folds of about as many prompts each, drawn by the prompts' hashes; one id a pair is given."""
    prompts = sorted(set(prompt_ids), key=lambda id: hashlib.sha256(id.encode()).digest())
    number = {id: n % _FOLDS for n, id in enumerate(prompts)}
    fold_N = np.array([number[id] for id in prompt_ids], dtype=np.intp)
    for fold in np.unique(fold_N):
        yield Fold(np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold))

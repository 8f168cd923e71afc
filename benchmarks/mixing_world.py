"""Pairs to learn from, people who label them, a simulated judge, and a linear head: what the mixing study is made of.

The judge is an oracle made worse: it knows which reply is better, is turned round in a share `noise` of the pairs, and
adds `length_bias` times the standardised gap in length to a verdict of log-odds 2.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judges.records import Message
from training.rows import PreferenceRow, Source

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
VERDICT_LOG_ODDS = 2.0
SIMULATED_FEATURES, SIMULATED_MARGIN_SD, PEOPLE_NOISE = 24, 3.0, 0.1
COMPONENTS = 8
RIDGE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class PairFeatures:
    """N pairs: H features of the chosen reply less the other's; the characters of both, the chosen one's first.

    `harmless_N` says which pairs people labelled for harmlessness, the others for helpfulness.
    """

    gap_NH: Floats
    chars_N2: NDArray[np.int64]
    prompt_ids: tuple[str, ...]
    harmless_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judge:
    """`noise` is the share of verdicts turned round, `length_bias` what one standard deviation of length adds."""

    noise: float
    length_bias: float


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A pool of N pairs and T pairs to be tested on. Everything is about reply A being better.

    `vote_N` is what a person says (1 or 0), `truth_N` what the judge's verdicts are made from. `truth_T` is the winner
    by which a head is tested. `chars_N2` counts the characters of both replies, A's first.
    """

    gap_NH: Floats
    gap_TH: Floats
    chars_N2: NDArray[np.int64]
    vote_N: Floats
    truth_N: Floats
    truth_T: Floats

    @property
    def length_N(self) -> Floats:
        """The standardised gap in length."""
        a_N, b_N = self.chars_N2.T
        gap_N = (a_N - b_N) / (a_N + b_N)
        return np.asarray(gap_N / gap_N.std(), dtype=np.float64)


def simulated_world(pool: int, test: int, seed: int) -> World:
    """A linear gold in features of which the first is the gap in length, and people who err near it and at random."""
    rng = np.random.default_rng(seed)
    gap_NH = rng.normal(size=(pool + test, SIMULATED_FEATURES))
    weight_H = rng.normal(size=SIMULATED_FEATURES)
    weight_H[0] = 0.0
    margin_N = gap_NH @ (weight_H * SIMULATED_MARGIN_SD / np.linalg.norm(weight_H))
    vote_N = votes(margin_N, rng)
    # The gap over the sum, held to what two texts can have.
    share_N = np.clip(0.2 * gap_NH[:, 0], -0.9, 0.9)
    chars_N2 = np.stack([np.round(200 * (1 + share_N)), np.round(200 * (1 - share_N))], axis=1).astype(np.int64)
    truth_N = (margin_N > 0).astype(np.float64)
    own = slice(None, pool)
    return World(gap_NH[own], gap_NH[pool:], chars_N2[own], vote_N[own], truth_N[own], truth_N[pool:])


def real_world(pairs: PairFeatures, test_share: float, seed: int) -> World:
    """HH-RLHF split by prompt; the sides are drawn. People's labels are the truth and the test both."""
    rng = np.random.default_rng(seed)
    side_N = np.where(rng.random(len(pairs.gap_NH)) < 0.5, 1.0, -1.0)
    drawn_N = np.array([_share(f"{seed}/{id}") for id in pairs.prompt_ids])
    train, test = np.flatnonzero(drawn_N >= test_share), np.flatnonzero(drawn_N < test_share)
    train = rng.permutation(train)
    gap_NH = _features(pairs, train) * side_N[:, None]
    label_N = (side_N > 0).astype(np.float64)
    chars_N2 = np.where(side_N[:, None] > 0, pairs.chars_N2, pairs.chars_N2[:, ::-1])
    vote_N = label_N[train]
    return World(gap_NH[train], gap_NH[test], chars_N2[train], vote_N, vote_N, label_N[test])


def verdicts(world: World, judge: Judge, seed: int) -> Floats:
    """The judge's belief on every pair of the pool; asked again it says the same."""
    rng = np.random.default_rng(seed)
    right_N = rng.random(len(world.truth_N)) >= judge.noise
    side_N = np.where(right_N == (world.truth_N > 0.5), 1.0, -1.0)
    logit_N = VERDICT_LOG_ODDS * (side_N + judge.length_bias * world.length_N)
    return np.asarray(1 / (1 + np.exp(-logit_N)), dtype=np.float64)


def rows_of(world: World, at: Places, p_a_N: Floats, source: Source, annotator: str = "") -> list[PreferenceRow]:
    """Preference rows of these pairs, as the service has them; the texts have the pairs' lengths."""
    return [_row(world, int(n), float(p_a_N[n]), source, annotator) for n in at]


def head(world: World, rows: Sequence[PreferenceRow]) -> Floats:
    """Bradley-Terry's logistic regression on the rows' soft labels and weights, with a ridge: one weight a feature."""
    at = np.array([int(row.prompt_id) for row in rows])
    p_a_R = np.array([row.p_chosen if row.chosen.startswith("a") else 1 - row.p_chosen for row in rows])
    weight_R = np.array([row.weight for row in rows])
    gap_RH = world.gap_NH[at]
    beta_H = np.zeros(gap_RH.shape[1])
    for _ in range(30):
        belief_R = 1 / (1 + np.exp(-np.clip(gap_RH @ beta_H, -30, 30)))
        slope_H = gap_RH.T @ (weight_R * (belief_R - p_a_R)) + RIDGE * beta_H
        curve_HH = (gap_RH * (weight_R * belief_R * (1 - belief_R))[:, None]).T @ gap_RH
        step_H = np.linalg.solve(curve_HH + RIDGE * np.eye(len(beta_H)), slope_H)
        beta_H -= step_H
        if np.abs(step_H).max() < 1e-6:
            break
    return beta_H


def right_T(world: World, beta_H: Floats) -> NDArray[np.bool_]:
    """On which test pairs the head names the winner."""
    return np.asarray((world.gap_TH @ beta_H > 0) == (world.truth_T > 0.5))


def _row(world: World, n: int, p_a: float, source: Source, annotator: str) -> PreferenceRow:
    of_a, of_b = world.chars_N2[n]
    a, b = "a" * int(of_a), "b" * int(of_b)
    prompt = (Message("user", str(n)),)
    wins, loses, p_chosen = (a, b, p_a) if p_a >= 0.5 else (b, a, 1 - p_a)
    names = (annotator,) if annotator else ()
    return PreferenceRow(
        f"{source}{n}{annotator}", str(n), prompt, wins, loses, p_chosen, 1.0, source, annotators=names
    )


def votes(margin_N: Floats, rng: np.random.Generator) -> Floats:
    """One person's votes: near the border by a coin that the margin weights, and at random in a few pairs."""
    prefers_N = rng.random(len(margin_N)) < 1 / (1 + np.exp(-margin_N))
    return np.where(rng.random(len(margin_N)) < PEOPLE_NOISE, ~prefers_N, prefers_N).astype(np.float64)


def _features(pairs: PairFeatures, train: Places) -> Floats:
    """The gap in length and the training pairs' first principal components, each of variance 1 and without a mean.

    Helpful and harmless pairs have weights of their own: people want other things there.
    """
    length_N = (pairs.chars_N2[:, 0] - pairs.chars_N2[:, 1]) / pairs.chars_N2.sum(axis=1)
    scaled_NH = pairs.gap_NH / (pairs.gap_NH[train].std(axis=0) + 1e-9)
    _, size_C, turn_CH = np.linalg.svd(scaled_NH[train], full_matrices=False)
    kept = slice(None, COMPONENTS)
    component_NC = scaled_NH @ turn_CH[kept].T / (size_C[kept] / np.sqrt(len(train)))
    own_NC = np.hstack([component_NC, (length_N / length_N[train].std())[:, None]])
    return np.hstack([own_NC * pairs.harmless_N[:, None], own_NC * ~pairs.harmless_N[:, None]])


def _share(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32

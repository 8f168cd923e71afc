"""What a ranking counts: every order of a few replies is gone through."""

import itertools
import math
from dataclasses import replace

import pytest

from training.ranked import RANKED, effective_sample_size, labels_in, labels_in_rows, ranked_weight, twos_in

from .test_rows import make_row


@pytest.mark.parametrize("replies", [2, 3, 4, 5])
def test_weighted_rows_of_a_ranking_carry_what_their_curvature_claims(replies: int) -> None:
    """Replies that hardly differ: the gradient's variance is the curvature, as it is for independent rows."""
    contrast = [1.0, -1.0, *[0.0] * (replies - 2)]
    pairs = list(itertools.combinations(range(replies), 2))
    curvature = sum((contrast[i] - contrast[j]) ** 2 / 4 for i, j in pairs)
    gradients = [
        sum((contrast[i] - contrast[j]) * (0.5 if order.index(i) < order.index(j) else -0.5) for i, j in pairs)
        for order in itertools.permutations(range(replies))
    ]
    variance = sum(gradient**2 for gradient in gradients) / len(gradients)  # their mean is 0
    weight = ranked_weight(replies)
    assert weight**2 * variance == pytest.approx(weight * curvature)


@pytest.mark.parametrize("replies", [2, 3, 4, 5])
def test_the_agreement_of_two_orders_varies_as_that_of_fewer_labels(replies: int) -> None:
    """Pairs that agree less those that differ, one order being held: all others are gone through."""
    pairs = list(itertools.combinations(range(replies), 2))
    taus = [sum(1 if order[i] < order[j] else -1 for i, j in pairs) for order in itertools.permutations(range(replies))]
    variance = sum(tau**2 for tau in taus) / len(taus)  # of independent pairs it is their number
    tags = ((RANKED, str(replies)),)
    assert twos_in(tags, tags) == pytest.approx(len(pairs) / variance)
    assert twos_in(tags, ()) == twos_in((), tags) == twos_in(tags, tags) <= 1


def test_labels_in_rows_of_rankings_and_of_pairs() -> None:
    assert labels_in_rows([]) == 0
    # nine replies: 36 rows of 0.3
    assert labels_in_rows([*[make_row(tags=((RANKED, "9"),))] * 36, make_row(weight=5.0)]) == pytest.approx(11.8)


def test_effective_sample_size_of_rankings_and_labels() -> None:
    row = make_row(weight=0.3, tags=((RANKED, "9"),))
    assert effective_sample_size([row] * 36) == pytest.approx(10.8)
    # whatever they all weigh, they are no more than that
    assert effective_sample_size([replace(row, weight=1.0)] * 36) == pytest.approx(10.8)
    assert effective_sample_size([*[row] * 36, *[make_row()] * 5]) == pytest.approx(15.8)


@pytest.mark.parametrize("text", ["many", "-3", "", "9" * 5000, "1.5"])
def test_somebody_elses_tag_is_no_ranking(text: str) -> None:
    assert labels_in(((RANKED, text),)) == 1.0
    assert labels_in(((RANKED, "0"),)) == labels_in(((RANKED, "2"),)) == 1.0
    assert math.isclose(labels_in((("x", "y"), (RANKED, "3"))), 0.75)

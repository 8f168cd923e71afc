"""What a ranking counts: every order of a few replies is gone through."""

import itertools
import math
from dataclasses import replace

import pytest

from training.ranked import (
    PICKED,
    RANKED,
    effective_sample_size,
    labels_in,
    labels_in_rows,
    picked_weight,
    ranked_weight,
    twos_in,
)

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
def test_weighted_rows_of_a_choice_carry_what_their_curvature_claims(replies: int) -> None:
    """Any reply may be the best: the same, and all that they tell is what the choice does by Luce's model."""
    contrast = [1.0, -1.0, *[0.0] * (replies - 2)]
    gaps = [[contrast[best] - other for n, other in enumerate(contrast) if n != best] for best in range(replies)]
    curvature = sum(gap**2 / 4 for own in gaps for gap in own) / replies
    variance = sum((sum(own) / 2) ** 2 for own in gaps) / replies  # their mean is 0
    weight = picked_weight(replies)
    assert weight**2 * variance == pytest.approx(weight * curvature)
    of_luce = sum(value**2 for value in contrast) / replies
    assert curvature**2 / variance == pytest.approx(of_luce)


@pytest.mark.parametrize("replies", [2, 3, 4, 5])
def test_the_agreement_of_two_choices_varies_as_that_of_fewer_labels(replies: int) -> None:
    """All twos of choices: rows on the same pair that agree less those that differ."""
    met, squares = 0, 0
    for one, other in itertools.product(range(replies), repeat=2):
        agree, differ = (replies - 1, 0) if one == other else (0, 1)
        met, squares = met + agree + differ, squares + (agree - differ) ** 2
    tags = ((PICKED, str(replies)),)
    assert twos_in(tags, tags) == pytest.approx(met / squares)


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
    assert math.isclose(labels_in(((PICKED, "4"), ("x", "y"))), 0.5)
    assert labels_in(((PICKED, text),)) == labels_in(((PICKED, "1"),)) == 1.0

"""What to buy next: plans worked by hand, and none that is better."""

from hypothesis import given
from hypothesis import strategies as st

from training.gold import Worths, kinds, worths
from training.purchase import Plan, Purse, next_purchase
from training.worth import Chances, Had

# People always agree, so that a verdict is worth its squared correlation with a vote.
AGREED = kinds(Chances((1.0,), (1.0,)))


def known(value: float) -> Chances:
    return Chances((value,), (1.0,))


def agreed(correlation: Chances) -> Worths:
    return worths(correlation, AGREED)


def test_money_goes_where_it_tells_more():
    # worth 0.36 or 0.04 at a price of 0.1: there is nothing left to measure
    assert next_purchase(agreed(known(0.6)), Had(20, 20), Purse(100, 0.1, 5000), 10) == Plan(0, 1000)
    assert next_purchase(agreed(known(0.6)), Had(20, 20), Purse(100, 0.1, 300), 10) == Plan(0, 300)
    assert next_purchase(agreed(known(0.2)), Had(20, 20), Purse(100, 0.1, 5000), 10) == Plan(0, 0)
    assert next_purchase(agreed(known(0.6)), Had(20, 20), Purse(0.05, 0.1, 5000), 10) == Plan(0, 0)


def test_labels_are_bought_to_measure_by_where_what_they_tell_pays():
    # worth 1 or nothing: ten votes nearly settle it (one in 2^10 stays open), for a tenth of the money. Then 102 labels
    # or 900 verdicts, (102^-0.25 + 911^-0.25) / 2 = 0.248. Without, at best 102 * 10 / 11 labels' worth goes at random:
    # the best is 0.5 (101 - v / 10)^-0.25 + 0.5 (101 + 0.9 v)^-0.25, 0.269 at v = 450
    either = Chances((0.0, 1.0), (0.5, 0.5))
    assert next_purchase(agreed(either), Had(1, 0), Purse(100, 0.1, 5000), 10).to_measure == 10
    # where a label costs a thousand verdicts, they are bought at once
    assert next_purchase(agreed(either), Had(1, 0), Purse(10, 0.001, 50_000), 10).to_measure == 0
    # nothing that the votes could say would change the plan
    assert next_purchase(agreed(Chances((0.5, 0.9), (0.5, 0.5))), Had(20, 20), Purse(100, 0.1, 5000), 10) == Plan(
        0, 1000
    )


@given(
    st.lists(st.floats(0, 0.99), min_size=1, max_size=4, unique=True).map(sorted),
    st.floats(0.1, 1),
    st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(0, 40), st.integers(0, 300)),
)
def test_no_plan_costs_more_than_there_is_or_loses_more_than_another(tells, agree, sizes):
    labels, verdicts, money, pairs = sizes
    correlation = Chances(tuple(tells), (1 / len(tells),) * len(tells))
    plan = next_purchase(worths(correlation, kinds(known(agree))), Had(labels, verdicts), Purse(money, 0.25, pairs), 5)
    assert 0 <= plan.verdicts <= min(pairs, 4 * money) and 0 <= plan.to_measure <= min(pairs, money / 1.25)

    def loss(bought: float) -> float:
        lifts = [((1 - h) / agree + h) ** 2 for h in (0.1, 0.3, 0.5, 0.7, 0.9)]
        worths = [min(lift * c * c, 1 / agree) for lift in lifts for c in tells]
        return sum((labels + money - bought / 4 + w * (verdicts + bought)) ** -0.25 for w in worths) / len(worths)

    places = [min(pairs, 4 * money) * place / 20 for place in range(21)]
    best = min(map(loss, places))
    assert plan.verdicts in {int(place) for place in places if loss(place) <= best * (1 + 1e-9)}

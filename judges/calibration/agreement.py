"""Agreement beyond chance between people, or between a judge and people, on categories such as "a", "b", "tie".

Read both with the raw agreement beside them: where one category is rare, chance agrees often and these fall far.
"""

from collections import Counter
from collections.abc import Sequence

from judges.errors import NoLabels, Undefined, UnequalLengths


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """(agreement - chance) / (1 - chance), chance from each rater's own habits (Cohen 1960); 1 at best.

    Raises Undefined where both raters used one and the same category only.
    """
    if len(first) != len(second):
        raise UnequalLengths(f"one rater has {len(first)} labels, the other {len(second)}; give both the same items")
    if not first:
        raise NoLabels("no item has labels of both raters")
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    of_first, of_second = Counter(first), Counter(second)
    chance = sum(of_first[category] * of_second[category] for category in of_first) / n**2
    if chance == 1:
        raise Undefined(f"both raters said {first[0]!r} every time; chance alone agrees always")
    return (observed - chance) / (1 - chance)


def krippendorff_alpha(items: Sequence[Sequence[str]]) -> float:
    """1 - observed / expected disagreement for nominal labels of any number of raters (Krippendorff 2004, ch. 11).

    `items` holds the labels that each item got; a missing label is just not there. An item with fewer than two says
    nothing and is left out. Raises Undefined where all that can be paired is one category.
    """
    paired = [Counter(labels) for labels in items if len(labels) > 1]
    if not paired:
        raise NoLabels("no item has two labels; let people share some items")
    totals: Counter[str] = sum(paired, Counter())
    n = totals.total()
    expected = (n**2 - sum(count**2 for count in totals.values())) / (n - 1)
    if expected == 0:
        raise Undefined(f"every shared label is {next(iter(totals))!r}; agreement beyond chance has no value")
    observed = sum(
        (item.total() ** 2 - sum(count**2 for count in item.values())) / (item.total() - 1) for item in paired
    )
    return 1 - observed / expected

"""A difference of two constitutions in lines that a person reads."""

from collections.abc import Iterator

from constitutions.differences import ConstitutionDifference


def difference_lines(difference: ConstitutionDifference) -> Iterator[str]:
    """One line a change; `no difference` where there is none."""
    if difference.is_empty:
        yield "no difference"
    for change in difference.header:
        yield f"{change.field}: {change.before!r} -> {change.after!r}"
    yield from (f"added: {id}" for id in difference.added)
    yield from (f"removed: {id}" for id in difference.removed)
    yield from (f"renamed: {renaming.before} -> {renaming.after}" for renaming in difference.renamed)
    for principle in difference.changed:
        fields = ", ".join(change.field for change in principle.fields)
        yield f"changed: {principle.id} ({fields}); " + (
            "its verdicts are made anew" if principle.verdicts_change else "its verdicts stay"
        )
    yield from (f"reweighted: {one.id} {one.before:g} -> {one.after:g}" for one in difference.reweighted)
    if difference.reordered:
        yield "the principles stand in another order"

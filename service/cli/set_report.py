"""`charter preferences report`: the examination of a set as tables."""

from collections.abc import Sequence

from pydantic import JsonValue, TypeAdapter
from rich import box
from rich.console import Console
from rich.table import Table

from service.demo.tables import percent
from service.set_report.findings import Coverage, OrderEffect, SetReport, Share, SourceBias

_WIDEST = 200
_HOLES_SHOWN = 10


def print_set_report(answer: JsonValue) -> None:
    """The full answer of GET /v1/preference-sets/{id}/report."""
    report = TypeAdapter(SetReport).validate_python(answer)
    console = Console(width=_WIDEST, markup=False, highlight=False, soft_wrap=True)
    part = "" if report.examined == report.rows else f", {report.examined} of them examined"
    console.print(f"{report.rows} rows{part}")
    _print_coverage(console, report.coverage)
    _print_bias(console, report.bias)
    _print_orders(console, report.orders)
    twice, leaks = report.duplicates, report.leakage
    console.print(
        f"duplicates: {twice.exact} exact, {twice.near} near in {twice.near_groups} groups; beside these "
        f"{twice.second_opinions} second opinions; {twice.contradicting} rows contradict most on the same texts"
    )
    if leaks.held_out:
        console.print(
            f"leakage: of {leaks.held_out} held-out prompts {leaks.exact} stand in the set, {leaks.near} nearly"
        )
    else:
        console.print("leakage: no held-out prompts to look for; name a prompt set with --prompts")
    console.print(f"{leaks.near_own} prompts are near another of the set's own, in case a training holds some out")
    for leak in leaks.leaks:
        console.print(f"  {leak.held_out_id}: {leak.held_out!r} is near {leak.trained_id}: {leak.trained!r}")


def _print_coverage(console: Console, coverage: Coverage) -> None:
    if not coverage.answered:
        listed = ", ".join(one.principle_id for one in coverage.principles)
        of_these = f"; nothing is known of {listed}" if listed else ""
        console.print(f"no row has a principle's answer: people decided them all{of_these}")
        return
    table = _table(("principle", "answered", "decisive", "overruled", *_numbers(coverage)))
    for one in coverage.principles:
        decisive = [str(cluster.decisive[one.principle_id]) for cluster in coverage.clusters]
        table.add_row(one.principle_id, str(one.answered), str(one.decisive), str(one.overruled), *decisive)
    console.print(table)
    for number, cluster in enumerate(coverage.clusters, start=1):
        console.print(f"kind {number}: {cluster.cluster} ({cluster.prompts} prompts, {cluster.rows} rows)")
    for hole in coverage.holes[:_HOLES_SHOWN]:
        tried = f"; try: {hole.suggested[0]!r}" if hole.suggested else ""
        console.print(f"{hole.principle_id} decides nothing on {hole.cluster}{tried}")
    if len(coverage.holes) > _HOLES_SHOWN:
        console.print(f"... and {len(coverage.holes) - _HOLES_SHOWN} more; --json has all")


def _numbers(coverage: Coverage) -> list[str]:
    return [f"kind {number}" for number in range(1, len(coverage.clusters) + 1)]


def _print_bias(console: Console, biases: Sequence[SourceBias]) -> None:
    features = [effect.feature for effect in biases[0].features] if biases else []
    table = _table(
        ("source", "decided", "longer wins", "per doubling", *(f"{name} wins" for name in features), "first")
    )
    for one in biases:
        slope = one.length.slope.value
        table.add_row(
            one.source,
            f"{one.decided}/{one.rows}",
            _share(one.length.longer_wins),
            "-" if slope is None else f"{slope:+.2f}",
            *(_share(effect.wins) for effect in one.features),
            _share(one.first_wins),
        )
    console.print(table)


def _print_orders(console: Console, orders: Sequence[OrderEffect]) -> None:
    if orders:
        table = _table(("judge and principle", "first wins", "orders disagree"))
        for one in orders:
            table.add_row(f"{one.judge}, {one.principle_id}", _share(one.first_wins), _share(one.flipped))
        console.print(table)


def _share(share: Share) -> str:
    """With its interval, and how many pairs it is of."""
    if share.estimate is None or share.low is None or share.high is None:
        return "-"
    return f"{percent(share.estimate)} ({percent(share.low)[:-2]}-{percent(share.high)[:-2]}) of {share.pairs}"


def _table(heads: Sequence[str]) -> Table:
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(table.columns):
        column.no_wrap, column.justify = True, "right" if number else "left"
    return table

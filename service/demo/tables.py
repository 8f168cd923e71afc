"""The demo's closing page: what changed, what the judge may weigh, which pairs were drawn, what took how long."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.demo.bars import seconds
from service.demo.replies import BeforeAfter
from service.demo.summary import JudgeStanding, Preferences, PrincipleOutcome, Summary

_STANDING = {
    "trusted": "trusted",
    "weak": "weak",
    "unproven": "unproven",
    "at_chance": "at chance",
    "harmful": "worse than chance",
}


def percent(share: float) -> str:
    """0.523 as `52 %`."""
    return f"{100 * share:.0f} %"


def points(difference: float) -> str:
    """0.31 as `+31`: percentage points."""
    return f"{100 * difference:+.0f}"


def principle_table(principles: Sequence[PrincipleOutcome]) -> Table:
    """Every principle on the held-out prompts; the lift's interval is in percentage points."""
    table = Table(title="On the held-out prompts (95 % intervals, clustered by prompt)", title_justify="left")
    for name, side in (("principle", "left"), ("kind", "left"), ("before", "right"), ("after", "right")):
        table.add_column(name, justify="right" if side == "right" else "left")
    table.add_column("lift, points", justify="right")
    table.add_column("interval", justify="right")
    for result in principles:
        name = "all checks together" if result.kind == "joint" else result.id
        table.add_row(
            name,
            result.kind,
            percent(result.before),
            percent(result.after),
            points(result.after - result.before),
            f"{points(result.low)} to {points(result.high)}",
            style="bold" if result.kind == "joint" else "",
        )
    return table


def standing_line(standing: JudgeStanding) -> str:
    """`kind: at chance (52 %, 40-64 %, 22 examples): judged and shown, weighs 0`."""
    if standing.kind == "checked" and not standing.examples:
        what = "a check without examples"
    elif standing.kind == "checked":
        what = f"check {'passes' if standing.verdict == 'trusted' else 'fails'} its {standing.examples} example(s)"
    else:
        interval = f"{100 * standing.low:.0f}-{100 * standing.high:.0f} %"
        what = f"{_STANDING[standing.verdict]} ({percent(standing.accuracy)}, {interval}, {standing.examples} examples)"
    weight = "its verdicts weigh" if standing.weight_allowed else "judged and shown, weighs 0"
    return f"{standing.principle_id}: {what}: {weight}"


def drawn_line(pairs: Preferences) -> str:
    """`Pairs trained on: 40 of 64 human, 12 by the judge, 108 by the checks`."""
    return (
        f"Pairs trained on: {pairs.human} of {pairs.human_available} human, {pairs.ai} by the judge, "
        f"{pairs.check} by the checks"
    )


def timing_line(stage_s: Mapping[str, float]) -> str:
    """`Time: sample 76 s, train 2 min 50 s; 5 min 25 s in all`."""
    each = ", ".join(f"{stage} {seconds(duration)}" for stage, duration in stage_s.items())
    return f"Time: {each}; {seconds(sum(stage_s.values()))} in all"


def print_replies(console: Console, replies: Sequence[BeforeAfter]) -> None:
    """The same prompts before and after."""
    for reply in replies:
        console.print(Text(f"\n> {reply.messages[-1].content}", style="bold"))
        console.print(Text("before: ", style="dim") + Text(_harmless(reply.before)))
        console.print(Text("after:  ", style="green") + Text(_harmless(reply.after)))


def _harmless(reply: str) -> str:
    """A model may say anything: what would steer the terminal (escape sequences, a carriage return) becomes `�`."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in reply)


def print_summary(console: Console, summary: Summary) -> None:
    """Everything in the summary, for a reader."""
    console.print(principle_table(summary.principles))
    console.print(f"\nThe judge {summary.qualification.judge} on the constitution's own examples:", markup=False)
    for standing in summary.qualification.per_principle:
        console.print(f"  {standing_line(standing)}", markup=False, highlight=False)
    console.print(drawn_line(summary.preferences), markup=False, highlight=False)
    counts = summary.counts
    console.print(
        f"Made: {counts.samples} samples, {counts.revisions} revisions, {counts.verdicts} verdicts "
        f"({counts.abstentions} abstentions, {counts.flips} flips between orders)",
        highlight=False,
    )
    console.print(timing_line(summary.stage_s), highlight=False)
    console.print(f"Peak memory: {summary.peak_memory_bytes / 2**30:.1f} GiB", highlight=False)

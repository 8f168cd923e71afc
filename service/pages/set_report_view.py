"""What an examination of a preference set found, as its page shows it. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.set_report.findings import ClusterUse, Hole, SetReport, Share, SourceBias

# Darker cells of the table are decided by a principle more often; the last shade is for half of the rows and more.
SHADES, _DARKEST = 5, 0.5
_WINS = {
    "list": "A list",
    "heading": "A heading",
    "markdown": "Other markdown",
    "exclamation": "An exclamation mark",
    "refusal": "A refusal",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """In how many rows of a kind of prompts a principle was decisive; `shade` 0 is never, which is a hole."""

    principle_id: str
    decisive: int
    share: float
    shade: int


@dataclass(frozen=True, slots=True)
class KindRow:
    """A kind of prompts beside all principles."""

    use: ClusterUse
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class EffectLine:
    """How often replies of one source's pairs win by an effect."""

    source: str
    share: Share
    note: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What wins beside the matter, for each source. `differs`: the intervals of two sources do not meet."""

    name: str
    lines: tuple[EffectLine, ...]

    @property
    def differs(self) -> bool:
        known = [(one.share.low, one.share.high) for one in self.lines]
        bounds = [(low, high) for low, high in known if low is not None and high is not None]
        return any(one[1] < other[0] for one in bounds for other in bounds)


def kind_rows(report: SetReport) -> tuple[KindRow, ...]:
    """The kinds with most rows first."""
    ids = [one.principle_id for one in report.coverage.principles]
    kinds = sorted(report.coverage.clusters, key=lambda use: -use.rows)
    return tuple(KindRow(use, tuple(_cell(use, id) for id in ids)) for use in kinds)


def holes_by_principle(report: SetReport) -> Mapping[str, tuple[Hole, ...]]:
    """The principles with most holes first."""
    found: dict[str, list[Hole]] = {}
    for hole in report.coverage.holes:
        found.setdefault(hole.principle_id, []).append(hole)
    return {id: tuple(found[id]) for id in sorted(found, key=lambda id: -len(found[id]))}


def effects_of(biases: Sequence[SourceBias]) -> tuple[Effect, ...]:
    """Those that any pair can tell of; the sources of each beside one another."""
    if not biases:
        return ()
    effects = [
        Effect(
            "The longer reply", tuple(EffectLine(one.source, one.length.longer_wins, _slope(one)) for one in biases)
        ),
        *(_feature(place, biases) for place in range(len(biases[0].features))),
        Effect("The reply shown first", tuple(EffectLine(one.source, one.first_wins, "") for one in biases)),
    ]
    return tuple(effect for effect in effects if any(line.share.pairs for line in effect.lines))


def _feature(place: int, biases: Sequence[SourceBias]) -> Effect:
    found = [(one.source, one.features[place]) for one in biases]
    return Effect(
        _WINS.get(found[0][1].feature, found[0][1].feature),
        tuple(
            EffectLine(
                source, one.wins, f"{100 * one.of_chosen:.0f} % of chosen, {100 * one.of_rejected:.0f} % of rejected"
            )
            for source, one in found
        ),
    )


def _slope(one: SourceBias) -> str:
    slope = one.length.slope.value
    return one.length.slope.reason if slope is None else f"{slope:+.2f} log-odds a doubling"


def _cell(use: ClusterUse, principle_id: str) -> Cell:
    decisive = use.decisive.get(principle_id, 0)
    share = decisive / max(1, use.rows)
    shade = 0 if not decisive else min(SHADES, 1 + int(share / _DARKEST * SHADES))
    return Cell(principle_id, decisive, share, shade)

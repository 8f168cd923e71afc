"""Which principles ever decided a pair, and on which kinds of prompts none of their verdicts did.

A row keeps each principle's answer, not its weight: all count alike here, in log-odds as in `judges/combine.py`. A
principle is decisive where the belief of the others alone has another side, or none; so one that answers alone
decides. Rows without answers (people's, mostly) have nothing to say here, and are counted; where no row has any,
nothing is known of the principles, and there are no holes.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from judges.choices import logit
from judges.combine import CHECK_RELIABILITY, HIGHEST_P, LOWEST_P
from service.set_report.clusters import Asked, Clusters, asked_text, cluster_prompts
from service.set_report.findings import ClusterUse, Coverage, Hole, PrincipleUse
from training.rows import PreferenceRow

_SUGGESTED = 3
_CHARACTERS_SHOWN = 200
# Sums of log-odds that cancel out leave a rounding error, which has no side.
_NOTHING = 1e-9


def decisive_principles(answers: Sequence[tuple[str, float]]) -> frozenset[str]:
    """Those without which the belief of the others is on the other side, or on none."""
    pulls = {id: _pull(p) for id, p in answers}
    total = sum(pulls.values())
    side = _side(total)
    return frozenset(id for id, pull in pulls.items() if side != 0 and _side(total - pull) != side)


def coverage_of(
    rows: Sequence[PreferenceRow], principle_ids: Sequence[str], more_prompts: Sequence[Asked], most_clusters: int
) -> Coverage:
    """`principle_ids` are known beside those that answered; `more_prompts` may be suggested, before the set's own."""
    own = {row.prompt_id: Asked(row.prompt_id, asked_text(row.prompt)) for row in rows}
    others = {prompt.id: prompt for prompt in more_prompts if prompt.id not in own}
    clusters = cluster_prompts([*own.values(), *others.values()], most_clusters)
    used = _Uses(clusters)
    for row in rows:
        used.count(row)
    ids = sorted({*principle_ids, *used.answered})
    looked_for = ids if used.answered else []
    return Coverage(
        rows_without_answers=used.silent,
        principles=tuple(PrincipleUse(i, used.answered[i], used.decisive[i], used.overruled[i]) for i in ids),
        clusters=tuple(
            ClusterUse(
                cluster.name,
                sum(prompt.id in own for prompt in cluster.nearest),
                used.rows[number],
                {id: used.decisive_in[number][id] for id in ids},
            )
            for number, cluster in enumerate(clusters.clusters)
        ),
        holes=tuple(
            Hole(id, cluster.name, _suggested(cluster.nearest, others))
            for id in looked_for
            for number, cluster in enumerate(clusters.clusters)
            if not used.decisive_in[number][id]
        ),
    )


class _Uses:
    """Counts over rows."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self.silent = 0
        self.answered: Counter[str] = Counter()
        self.decisive: Counter[str] = Counter()
        self.overruled: Counter[str] = Counter()
        self.rows: Counter[int] = Counter()
        self.decisive_in: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def count(self, row: PreferenceRow) -> None:
        number = self._clusters.of_prompt[row.prompt_id]
        self.rows[number] += 1
        if not row.per_principle:
            self.silent += 1
            return
        decisive = decisive_principles(row.per_principle)
        self.answered.update(id for id, _ in row.per_principle)
        self.decisive.update(decisive)
        self.decisive_in[number].update(decisive)
        self.overruled.update(id for id, p in row.per_principle if p < 0.5)


def _suggested(nearest: Sequence[Asked], others: Mapping[str, Asked]) -> tuple[str, ...]:
    """The most typical prompts of the kind, those that the set does not have first."""
    new = [prompt for prompt in nearest if prompt.id in others]
    old = [prompt for prompt in nearest if prompt.id not in others]
    return tuple(prompt.text[:_CHARACTERS_SHOWN] for prompt in (new + old)[:_SUGGESTED])


def _pull(p: float) -> float:
    """The log-odds as it counts in a belief: that of a check, 0 or 1, is not all of what is better."""
    low = 1 - CHECK_RELIABILITY if p in (0.0, 1.0) else LOWEST_P
    high = CHECK_RELIABILITY if p in (0.0, 1.0) else HIGHEST_P
    return logit(min(max(p, low), high))


def _side(log_odds: float) -> int:
    return 0 if abs(log_odds) < _NOTHING else 1 if log_odds > 0 else -1

"""A project's whole quality report: what its labels say of people, and what its random part says of the judge."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from service.artifacts import Artifacts
from service.labelling.agreement import FEWEST, too_few
from service.labelling.estimates import judge_accuracy
from service.labelling.figures import JudgeEstimate, QualityReport, Rate, Unknown
from service.labelling.gathered import labels_of
from service.labelling.judge_in_orders import judge_of_rankings
from service.labelling.judged_orders import judged_orders
from service.labelling.judged_pairs import JudgedPairs, ensure_judged_pairs
from service.labelling.quality import quality_report
from service.labelling.rankings import rankings_in
from service.labelling.votes import VOTES, drawn_by_lot, votes_on_comparisons
from service.store.label_records import LabelProjectRecord, TaskLabel
from service.store.store import Store


async def project_quality(store: Store, artifacts: Artifacts, project: LabelProjectRecord) -> QualityReport:
    """Reads what the project keeps of its source only where the random part, or the rankings, are enough."""
    labels = await labels_of(store, project)
    report = await asyncio.to_thread(quality_report, labels)
    ranked = {label.pair_id for label in rankings_in(labels)}
    if len(ranked) >= FEWEST:
        orders = await judged_orders(store, artifacts, project, ranked)
        return replace(report, judge=await asyncio.to_thread(judge_of_rankings, labels, orders, report.judge))
    drawn = _drawn(labels)
    if not drawn:
        return report
    enough = any(_voted(own) >= FEWEST for own in drawn.values())
    judged = await _open_pairs(store, artifacts, project) if enough else {}
    found = await asyncio.to_thread(
        lambda: tuple(JudgeEstimate(id, _estimate(own, judged.get(id)), _voted(own)) for id, own in drawn.items())
    )
    return replace(report, judge=replace(report.judge, estimated=found))


async def _open_pairs(store: Store, artifacts: Artifacts, project: LabelProjectRecord) -> dict[str | None, JudgedPairs]:
    """By principle, or overall, all pairs that people may be asked about: gold ones are not."""
    kept = await ensure_judged_pairs(store, artifacts, project)
    gold = (await store.label_projects.asked_pairs(project.project_id, project.id)).gold
    return {id: found.without(gold) for id, found in kept.items()}


def _drawn(labels: Sequence[TaskLabel]) -> dict[str | None, list[TaskLabel]]:
    """Choices on pairs that chance chose, under each principle that a judge has a belief under, or overall."""
    found: dict[str | None, list[TaskLabel]] = {}
    for label in drawn_by_lot(labels):
        if label.kind == "compare" and not label.training:
            found.setdefault(label.principle_id, []).append(label)
    return {id: own for id, own in found.items() if any(label.judge_p_a is not None for label in own)}


def _voted(labels: Sequence[TaskLabel]) -> int:
    return len({label.pair_id for label in labels if label.choice in VOTES})


def _estimate(labels: Sequence[TaskLabel], judged: JudgedPairs | None) -> Rate:
    if judged is None or _voted(labels) < FEWEST:
        return too_few(_voted(labels), "labelled pairs of the random part")
    votes = votes_on_comparisons(labels)
    if len(votes) > len(judged.pair_ids) - 2:
        return Unknown("people have labelled every pair: the rate with their majority needs no estimate")
    return judge_accuracy(judged, votes).interval

"""Stage `mix`: verdicts become pairs with a belief, and join people's pairs. The result is a resource of its own."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue, TypeAdapter

from constitutions.schema import Constitution
from judges.combine import combine_verdicts
from judges.qualify import Qualification
from judges.records import Abstention, Comparison, Preference, PrincipleVerdict
from service.errors import RunFailed
from service.pipeline.calibration import comparisons_of, fitted_weights, weights_of
from service.pipeline.context import RunContext
from service.pipeline.gold import gold_of, warn_of_left_out_gold
from service.pipeline.people import people_of, warn_of_left_out
from service.pipeline.qualification import qualification_from
from service.schemas import MixSettings
from service.shards import keys_in, read_shards, to_parquet
from service.store.records import REVIEW_KIND, JsonObject, PreferenceSetRecord
from training.mix import MixConfig, MixReport, MixResult, mix_rows
from training.reliability import FEWEST_VOTES
from training.rows import PreferenceRow

_REPORT = TypeAdapter(MixReport)


@dataclass(frozen=True, slots=True)
class MachineRows:
    """The machine's pairs; `undecided` are the comparisons on which no weighted principle answered.

    `measured` are its verdicts on people's own pairs and on gold's, which show what it is worth; those under
    `weightless` principles are in no belief.
    """

    rows: tuple[PreferenceRow, ...]
    undecided: int
    measured: tuple[PreferenceRow, ...] = ()
    weightless: frozenset[str] = frozenset()


async def run_mix(context: RunContext) -> JsonObject:
    """Ensure the mixed preference set. Leaves its id, artifact and the mix's report."""
    people = await people_of(context)
    gold = await gold_of(context)
    machine = await _machine(context, people.rows, gold.rows)
    await warn_of_left_out(context, "mix", people)
    await warn_of_left_out_gold(context, gold)
    wanted = context.request.mix
    config = replace(mix_config(wanted, context.request.seed), weightless=machine.weightless)
    mixed = mix_rows(people.rows, machine.rows, config, machine.measured, gold.rows)
    if said := _unmeasured(wanted, mixed.report):
        await context.warn("mix", said)
    if mixed.report.dropped_by_reliability:
        said = (
            f"people's labels bear out none of {mixed.report.dropped_by_reliability} machine pairs; they are left out"
        )
        await context.warn("mix", said)
    if said := _wasted(wanted, mixed.report):
        await context.warn("mix", said)
    values = _REPORT.dump_python(mixed.report, mode="json")
    report: dict[str, JsonValue] = {**values, "undecided": machine.undecided, "leaked": people.leaked}
    report["gold_leaked"] = gold.found.leaked
    report["review_set"] = (await _keep_review(context, mixed)).id if mixed.review else None
    if not mixed.rows:
        raise RunFailed(
            f"no pair is left to train on: {len(machine.rows)} machine pairs, {machine.undecided} comparisons "
            f"undecided, {len(people.rows)} human pairs, {mixed.report.review} pairs under review, ratio "
            f"{wanted.ratio}; raise `mix.ratio`, have pairs reviewed, or give more prompts"
        )
    record = await _keep(context, mixed.rows, "mixed", report)
    return {"preference_set": record.id, "artifact": record.artifact, "rows_sha256": record.sha256, "report": report}


def mix_config(wanted: MixSettings, seed: int) -> MixConfig:
    """What the run asks for."""
    return MixConfig(
        ratio=wanted.ratio,
        human_weight=wanted.human_weight,
        machine_weight=wanted.machine_weight,
        conflict=wanted.conflict,
        cap_per_annotator=wanted.cap_per_annotator,
        seed=seed,
        weights=wanted.weights,
        calibrate=wanted.calibrate,
        owners=wanted.owners,
    )


def _unmeasured(wanted: MixSettings, report: MixReport) -> str:
    """What the run asked for and could not get; empty where all could be measured."""
    asked = wanted.calibrate or wanted.weights == "measured"
    few = [one for one in report.standings if one.shared_votes < FEWEST_VOTES]
    if not asked or not few:
        return ""
    counts = ", ".join(f"{one.shared_votes:.4g} beside source {one.source}" for one in few)
    return (
        f"people's votes on pairs that the machine judged too are few: {counts}; with under {FEWEST_VOTES} its beliefs "
        "stay as they are, and its weight near the given one: have people's own pairs judged (judge.calibrate)"
    )


def _wasted(wanted: MixSettings, report: MixReport) -> str:
    """How many labels the ratio leaves out beside verdicts that weigh what they are worth; empty where none."""
    if not report.dropped_by_ratio or not wanted.calibrate or wanted.weights != "measured":
        return ""
    return (
        f"mix.ratio {wanted.ratio:g} leaves out {report.dropped_by_ratio} human pairs; with mix.calibrate and "
        "mix.weights measured each source weighs what it is worth, so set mix.ratio to 1 to use them all"
    )


def machine_rows(
    comparisons: Sequence[Comparison],
    verdicts: Sequence[PrincipleVerdict],
    weights: Mapping[str, float],
    proof: "Proof",
) -> MachineRows:
    """One row a comparison. A tie stays as 0.5 where a weighted principle answered; else the pair is undecided."""
    by_pair: dict[str, list[PrincipleVerdict]] = defaultdict(list)
    for verdict in verdicts:
        by_pair[verdict.comparison_id].append(verdict)
    rows = []
    for pair in comparisons:
        combined = combine_verdicts(by_pair[pair.id], weights)
        if isinstance(combined, Abstention):
            continue
        a_wins = combined.p_a >= 0.5
        answers = [(v.principle_id, v.verdict.p_a) for v in by_pair[pair.id] if isinstance(v.verdict, Preference)]
        rows.append(
            PreferenceRow(
                id=f"row_{pair.id.removeprefix('cmp_')}",
                prompt_id=pair.prompt_id,
                prompt=pair.messages,
                chosen=pair.a if a_wins else pair.b,
                rejected=pair.b if a_wins else pair.a,
                p_chosen=combined.p_a if a_wins else 1 - combined.p_a,
                weight=1.0,
                source=combined.source,
                judge=proof.judge if combined.source == "ai" else "",
                constitution_sha256=proof.constitution_sha256,
                per_principle=tuple((id, p_a if a_wins else 1 - p_a) for id, p_a in answers),
                origin=proof.run_id,
            )
        )
    weightless = {verdict.principle_id for verdict in verdicts if not weights.get(verdict.principle_id)}
    return MachineRows(tuple(rows), len(comparisons) - len(rows), weightless=frozenset(weightless))


@dataclass(frozen=True, slots=True)
class Proof:
    """What a machine row says of its making."""

    run_id: str
    judge: str
    constitution_sha256: str


async def _machine(context: RunContext, people: Sequence[PreferenceRow], gold: Sequence[PreferenceRow]) -> MachineRows:
    """The machine's pairs. Raises RunFailed where no principle has a weight and no pair of `people` is left."""
    judged = (await context.result_of("judge")).result
    qualification = qualification_from(judged["qualification"])
    weights = weights_of(context, qualification)
    if fitted := fitted_weights(judged.get("calibration")):
        weights = fitted
    if not any(weights.values()):
        said = no_weight_fitted(weights) if fitted else no_weight(context.constitution, qualification)
        if not people:
            raise RunFailed(said)
        await context.warn("mix", said)
    comparisons = await read_shards(context.artifacts, keys_in(judged, "comparisons"), Comparison)
    verdicts = await _verdicts(context, keys_in(judged))
    proof = Proof(context.run.id, context.judge.name, context.constitution_sha256)
    found = machine_rows(comparisons, verdicts, weights, proof)
    calibration = judged["calibration"]
    if not isinstance(calibration, dict):
        return found
    to_measure = await _verdicts(context, keys_in(calibration))
    pairs = comparisons_of((*people, *gold))
    return replace(found, measured=machine_rows(pairs, to_measure, weights, proof).rows)


async def _verdicts(context: RunContext, shards: Sequence[str]) -> tuple[PrincipleVerdict, ...]:
    """Without those under principles that only people may decide: no part of a belief comes from them."""
    owners = context.request.mix.owners
    found = await read_shards(context.artifacts, shards, PrincipleVerdict)
    return tuple(verdict for verdict in found if owners.get(verdict.principle_id) != "human")


def no_weight_fitted(weights: Mapping[str, float]) -> str:
    """Why no verdict counts after a calibration, and what can be done."""
    return (
        f"people's labels bear out none of the principles {', '.join(weights)}: each would count 0; look at the "
        "labels, word the principles as people decide, or leave `judge.calibrate` out"
    )


def no_weight(constitution: Constitution, qualification: Qualification) -> str:
    """Why no verdict counts, and what can be done."""
    standing = {one.principle_id: one.verdict for one in qualification.per_principle}
    named = ", ".join(f"{p.id} ({standing[p.id]})" for p in constitution.principles)
    return (
        f"no principle has a weight, since the judge {qualification.judge!r} is not fit for: {named}; give the "
        "principles 20 examples or more, take a stronger judge, add checked principles or human pairs, or name "
        "principles in `judge.allow_unqualified`"
    )


async def _keep_review(context: RunContext, mixed: MixResult) -> PreferenceSetRecord:
    """The pairs under review as a set of their own, and a word on how people come to see them."""
    report: JsonObject = {"rows": len(mixed.review), "pairs": mixed.report.review}
    record = await _keep(context, mixed.review, REVIEW_KIND, report)
    said = (
        f"people and the machine differ on {mixed.report.review} pairs, which are left out until they are reviewed "
        f"(set {record.id}): `charter label create --run {context.run.id} --review` makes them tasks for people"
    )
    await context.warn("mix", said)
    return record


async def _keep(
    context: RunContext, rows: Sequence[PreferenceRow], kind: str, report: JsonObject
) -> PreferenceSetRecord:
    data = to_parquet(rows)
    digest = hashlib.sha256(data).hexdigest()
    artifact = f"preferences/{digest}.parquet"
    await context.artifacts.put_new(artifact, data)
    record = PreferenceSetRecord(
        id="",
        project_id=context.run.project_id,
        name=f"{kind}-{context.run.id}",
        kind=kind,
        sha256=digest,
        artifact=artifact,
        rows=len(rows),
        report=report,
        run_id=context.run.id,
        created_at="",
    )
    return await context.tools.store.preference_sets.add(record)

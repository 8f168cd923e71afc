"""The examination of a preference set: coverage, bias, duplicates and leakage. The same rows give the same report."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from judges.records import PrincipleVerdict, Prompt
from service.preference_rows import PreferenceRows
from service.set_report.bias import source_biases
from service.set_report.clusters import Asked, asked_text
from service.set_report.coverage import coverage_of
from service.set_report.duplicates import duplicates_in
from service.set_report.findings import SetReport
from service.set_report.leakage import leakage_between
from service.set_report.options import ReportOptions
from service.set_report.orders import order_effects
from service.shards import records_of
from training.rows import PreferenceRow


@dataclass(frozen=True, slots=True)
class Against:
    """What the set is held against: the principles of a constitution, prompts with their splits, a run's verdicts."""

    principle_ids: tuple[str, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    verdicts: tuple[PrincipleVerdict, ...] = ()


def report_on(rows: Sequence[PreferenceRow], against: Against, options: ReportOptions) -> SetReport:
    """`rows` are all there are."""
    trained = {row.prompt_id: Asked(row.prompt_id, asked_text(row.prompt)) for row in rows}
    asked = {split: _asked(against.prompts, split) for split in ("train", "held_out")}
    return SetReport(
        rows=len(rows),
        examined=len(rows),
        coverage=coverage_of(rows, against.principle_ids, asked["train"], options.clusters),
        # Of demonstrations nothing could win beside the matter.
        bias=source_biases(rows, against.verdicts) if any(row.rejected.strip() for row in rows) else (),
        duplicates=duplicates_in(rows, options.near),
        leakage=leakage_between(trained, asked["held_out"], options.near),
        orders=order_effects(against.verdicts),
    )


def sampled_rows(stored: PreferenceRows, most: int) -> Iterator[PreferenceRow]:
    """About `most` rows, drawn by their prompt's hash, so that the pairs of a prompt stay together; all of fewer."""
    share = most / max(1, stored.rows)
    for batch in stored.stored():
        drawn = [share >= 1 or _draw(id) < share for id in batch.column("prompt_id").to_pylist()]
        yield from records_of(batch.filter(pa.array(drawn, pa.bool_())), PreferenceRow)


def _draw(id: str) -> float:
    """0 to 1, the same for the same id."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big") / 2**64


def _asked(prompts: Sequence[Prompt], split: str) -> list[Asked]:
    return [Asked(prompt.id, asked_text(prompt.messages)) for prompt in prompts if prompt.split == split]

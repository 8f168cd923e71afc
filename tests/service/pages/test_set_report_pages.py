"""The page of a set's examination: what it shows of findings, and how it is asked."""

import hashlib
from dataclasses import replace

from judges.measures import Statistic
from judges.records import Message, Prompt
from service.pages.set_report_view import effects_of, holes_by_principle, kind_rows
from service.set_report.findings import (
    ClusterUse,
    Coverage,
    Duplicates,
    FeatureEffect,
    Hole,
    Leakage,
    LengthEffect,
    PrincipleUse,
    SetReport,
    Share,
    SourceBias,
)
from service.shards import to_parquet
from service.store.records import PreferenceSetRecord, PromptSetRecord
from tests.service.pages.conftest import Pages
from training.rows import PreferenceRow


def bias(source: str, longer: Share) -> SourceBias:
    feature = FeatureEffect("list", 0.5, 0.25, Share(0, reason="none"))
    return SourceBias(source, 9, 9, LengthEffect(longer, Statistic(0.5)), (feature,), Share(0, reason="none"))


REPORT = SetReport(
    rows=30,
    examined=30,
    coverage=Coverage(
        0,
        (PrincipleUse("brief", 30, 11, 2), PrincipleUse("kind", 30, 0, 9)),
        (ClusterUse("cats", 5, 10, {"brief": 1, "kind": 0}), ClusterUse("dogs", 9, 20, {"brief": 10, "kind": 0})),
        (Hole("kind", "cats", ("Why do cats purr?",)), Hole("kind", "dogs", ())),
    ),
    bias=(bias("ai", Share(40, 0.9, 0.8, 0.95)), bias("human", Share(40, 0.5, 0.4, 0.6))),
    duplicates=Duplicates(0, 0, 0, 0, 0, ()),
    leakage=Leakage(0, 0, 0, ()),
)


def test_kinds_by_size_with_a_shade_for_each_principle() -> None:
    dogs, cats = kind_rows(REPORT)
    assert (dogs.use.cluster, [cell.shade for cell in dogs.cells]) == ("dogs", [5, 0])
    # One of ten is a fifth of the darkest, which is one half: the second of five shades begins there.
    assert [(cell.share, cell.shade) for cell in cats.cells] == [(0.1, 2), (0, 0)]
    assert [hole.cluster for hole in holes_by_principle(REPORT)["kind"]] == ["cats", "dogs"]


def test_an_effect_is_told_where_sources_differ() -> None:
    [longer] = effects_of(REPORT.bias)  # nobody has a list, nobody knows what was shown first
    assert (longer.name, longer.differs) == ("The longer reply", True)
    assert [(line.source, line.note) for line in longer.lines] == [
        ("ai", "+0.50 log-odds a doubling"),
        ("human", "+0.50 log-odds a doubling"),
    ]
    alike = effects_of((REPORT.bias[0], bias("human", Share(40, 0.7, 0.5, 0.85))))
    assert not alike[0].differs
    assert effects_of(()) == ()


async def test_the_findings_of_a_set(pages: Pages) -> None:
    rows = [row(n) for n in range(24)]
    held_out = Prompt("h1", rows[0].prompt, "held_out")
    prompts = await put(pages, "prompts", to_parquet([held_out]))
    law = pages.seeded.new_law
    record = PromptSetRecord("", pages.project, "quiz", "1" * 64, prompts, 0, 1, "")
    quiz = await pages.backend.store.prompt_sets.add(record)
    file = await put(pages, "preferences", to_parquet([*rows, replace(rows[0], id="twin")]))
    made = PreferenceSetRecord("", pages.project, "many", "mixed", "2" * 64, file, 25, {}, None, "")
    set_id = (await pages.backend.store.preference_sets.add(made)).id
    address = f"/ui/preference-sets/{set_id}/report"
    first = (await pages.person.get(address)).text
    assert f'hx-get="{address}/findings"' in first and "quiz" in first
    chosen = (await pages.person.get(f"{address}?constitution=&prompts={quiz.id}")).text
    assert f'hx-get="{address}/findings?constitution=&amp;prompts={quiz.id}"' in chosen
    whole = (await pages.person.get(f"{address}/findings?constitution=short&prompts={quiz.id}")).text
    assert '<dt>Pairs that stand there twice</dt><dd><strong class="bad">1</strong>' in whole
    assert "Of 1 held-out prompts 1 stand in the set word for word" in whole
    assert "<strong>kind</strong> decides nothing on" in whole
    assert '<th scope="rowgroup" rowspan="1">The longer reply</th>' in whole
    part = (await pages.person.get(f"{address}/findings?constitution={law}", headers={"HX-Request": "true"})).text
    assert "<html" not in part and "Choose a prompt set above" in part
    assert (await pages.person.get(f"{address}/findings?constitution=none")).status_code == 404
    assert (await pages.person.get("/ui/preference-sets/prf_x/report")).status_code == 404
    async with pages.stranger() as stranger:
        assert (await stranger.get(address)).status_code == 303


async def test_an_examination_that_fails_is_told_on_its_page(pages: Pages) -> None:
    made = PreferenceSetRecord(
        "", pages.project, "lost", "mixed", "3" * 64, "preferences/none.parquet", 1, {}, None, ""
    )
    id = (await pages.backend.store.preference_sets.add(made)).id
    address = f"/ui/preference-sets/{id}/report/findings"
    part = await pages.person.get(address, headers={"HX-Request": "true"})
    assert part.status_code == 200 and "The pairs could not be examined: " in part.text
    assert (await pages.person.get(address)).status_code == 404


async def test_what_the_first_place_is_worth_to_a_runs_judge(pages: Pages) -> None:
    address = f"/ui/preference-sets/{pages.seeded.preference_set}/report/findings"
    found = (await pages.person.get(address)).text
    assert "What the first place is worth to the judge" in found


async def test_a_runs_set_is_held_against_what_the_run_had(pages: Pages) -> None:
    page = (await pages.person.get(f"/ui/preference-sets/{pages.seeded.preference_set}/report")).text
    assert f'<option value="{pages.seeded.new_law}" selected>short@2</option>' in page


async def put(pages: Pages, folder: str, data: bytes) -> str:
    key = f"{folder}/{hashlib.sha256(data).hexdigest()}.parquet"
    await pages.backend.artifacts.put_new(key, data)
    return key


def row(n: int) -> PreferenceRow:
    asked = (Message("user", f"What is the answer to question number {n} of the long quiz about all things?"),)
    chosen = f"It is {n}, of course, and nobody doubts it."
    answers = (("brief", 0.9), ("kind", 0.4))
    return PreferenceRow(f"r{n}", f"p{n}", asked, chosen, "Hm.", 0.8, 1.0, "ai", per_principle=answers)

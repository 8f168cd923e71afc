"""What the pages ask of the store: the newest first, and the events that they draw."""

from service.labelling.revision_prompts import prompts_to_revise
from service.store.label_records import Answer
from service.store.records import NewEvent, RunRecord
from service.store.store import Store
from tests.service.store.label_rows import gold, labelling, pair, repeat
from tests.service.store.rows import Rows


async def test_lists_are_newest_first_and_go_on_before_an_id(store: Store, rows: Rows) -> None:
    made = [(await rows.constitution("law", str(number), f"{number}" * 64)).id for number in range(4)]
    found = await store.overview.constitutions(rows.project, None, 2)
    assert [one.id for one in found] == made[:0:-1]  # one more than asked: there are older ones
    assert [one.id for one in await store.overview.constitutions(rows.project, made[1], 2)] == made[:1]
    assert [one.version for one in await store.overview.versions(rows.project, "law")] == ["3", "2", "1", "0"]
    assert await store.overview.versions(rows.project, "other") == []
    assert await store.overview.constitutions("prj_other", None, 2) == []
    assert await store.overview.constitutions(rows.project, "\0", 2) == []


async def test_a_run_stands_with_its_law_stage_and_effect(store: Store, rows: Rows, run: RunRecord) -> None:
    await store.runs.record_stage(run.id, "sample", {"samples": 1}, 1.0)
    await store.runs.record_stage(run.id, "evaluate", {"principles": []}, 1.0)
    (line,) = await store.overview.runs(rows.project, None, 20)
    assert (line.run.id, line.constitution, line.stage) == (run.id, "law@1", "revise")
    assert line.evaluated == {"principles": []} and line.finished == {"sample", "evaluate"}
    adapter, pairs = await rows.adapter(run.id), await rows.preferences(run_id=run.id)
    assert [one.id for one in await store.overview.adapters(rows.project, None, 20)] == [adapter.id]
    assert [one.id for one in await store.overview.preference_sets(rows.project, None, 20)] == [pairs.id]


async def test_progress_is_the_last_of_each_stage(store: Store, run: RunRecord) -> None:
    for stage, done in (("sample", 1), ("judge", 5), ("sample", 2)):
        await store.runs.add_event(run.id, NewEvent(stage, "progress", done=done, total=9))
    await store.runs.add_event(run.id, NewEvent("judge", "warning", data={"message": "slow"}))
    progress = await store.overview.progress(run.id)
    assert {stage: event.done for stage, event in progress.items()} == {"sample": 2, "judge": 5}
    assert [event.type for event in await store.overview.told(run.id, 5)] == ["warning", "stage"]
    assert [event.seq for event in await store.overview.told(run.id, 1)] == [5]
    assert await store.overview.last_seq(run.id) == 5 and await store.overview.last_seq("run_x") == 0


async def test_a_long_training_is_thinned(store: Store, run: RunRecord) -> None:
    for step in range(1, 12):
        await store.runs.add_event(run.id, NewEvent("train", "metric", done=step, total=11, data={"step": step}))
    assert [event.done for event in await store.overview.metrics(run.id)] == list(range(1, 12))
    assert [event.done for event in await store.overview.metrics(run.id, most=4)] == [3, 6, 9, 11]


async def test_label_projects_with_their_progress_and_reasons(store: Store, project: str) -> None:
    people = labelling(store, project)
    tasks = [pair(1, routed_by="flip"), pair(2, routed_by="flip"), pair(3, routed_by="random"), gold(4), repeat(1)]
    made = await people.make(tasks)
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    await people.projects.submit(ada, task.id, Answer("first"))
    older = made.id
    newer = (await people.make([pair(1)])).id
    lines = await store.overview.label_projects(project, None, 20)
    assert [(line.project.id, line.asked, line.finished) for line in lines] == [(newer, 1, 0), (older, 3, 1)]
    assert [line.project.id for line in await store.overview.label_projects(project, newer, 20)] == [older]
    assert await store.overview.label_project(project, older) == lines[1]
    routed = {one.routed_by: (one.tasks, one.answers) for one in await store.overview.routed(older)}
    assert routed == {"flip": (2, 1), "random": (1, 0), "gold": (1, 0), "repeat": (1, 0)}
    assert await store.overview.label_projects("prj_other", None, 20) == []


async def test_prompts_found_bad_count_once_each_and_not_by_what_measures_people(store: Store, project: str) -> None:
    people = labelling(store, project)
    asked = [pair(1), pair(1, principle_id="kind"), pair(2), pair(3), pair(4)]
    first = [pair(6, training=True, gold="a", routed_by="training"), gold(5)]
    made = await people.make([*first, *asked, repeat(1)], gold_share=1.0)
    ada = await people.annotator(made)
    while found := await people.projects.next_tasks(ada, 1):
        better = found[0].prompt[0].content == "question 3"
        await people.projects.submit(ada, found[0].id, Answer("first" if better else "both_bad"))
    labels = await people.labels(made)
    assert {label.routed_by for label in labels if label.choice == "both_bad"} == {"training", "gold", "repeat", "all"}
    # Questions 1, 2 and 4, as the set that is made of them has it.
    assert await store.overview.prompts_found_bad(made.id) == len(prompts_to_revise(labels)) == 3
    other = await people.make([pair(1)])
    bo = await people.annotator(other)
    [task] = await people.projects.next_tasks(bo, 1)
    await people.projects.submit(bo, task.id, Answer("both_bad"))
    assert await store.overview.prompts_found_bad(other.id) == 1
    await people.projects.undo(bo)
    assert await store.overview.prompts_found_bad(other.id) == 0

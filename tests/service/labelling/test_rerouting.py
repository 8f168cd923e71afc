"""The second routing: by what labels of the random part have shown, with what people were given left alone."""

import pytest

from judges.records import Message
from service.artifacts import Artifacts
from service.errors import Conflict
from service.gc import collect_garbage
from service.labelling.figures import Unknown
from service.labelling.project_quality import project_quality
from service.labelling.projects import create_project
from service.labelling.rerouting import route_again
from service.labelling.schemas import LabelProjectRequest
from service.shards import publish_shard
from service.store.label_records import Answer
from service.store.records import PreferenceSetRecord
from service.store.store import Store
from training.rows import PreferenceRow


class Place:
    """A store with a set of forty pairs: a judge is sure of the first twenty and unsure of the others."""

    def __init__(self, store: Store, artifacts: Artifacts, project: str) -> None:
        self.store, self.artifacts, self.project = store, artifacts, project
        self.projects = store.label_projects

    async def made(self, **settings):
        rows = [
            PreferenceRow(
                f"{'sure' if n < 20 else 'close'} {n}", f"q{n}", (Message("user", f"question {n}"),),
                f"good {n}", f"bad {n}", 0.95 if n < 20 else 0.6, 1.0, "ai", judge="j",
            )
            for n in range(40)
        ]  # fmt: skip
        await publish_shard(self.artifacts, "preferences/a.parquet", rows, PreferenceRow)
        await self.store.preference_sets.add(
            PreferenceSetRecord("", self.project, "judged", "ai", "0" * 64, "preferences/a.parquet", 40, {}, None, "")
        )
        asked = {"name": "x", "preference_set": "judged", **settings}
        made = await create_project(self.store, self.artifacts, self.project, LabelProjectRequest.model_validate(asked))
        return made, (await self.projects.invite(self.project, made.id, "Ada"))[0].id

    async def answer(self, annotator, times, wanted="b", seconds=5.0):
        """In the task's own order."""
        for _ in range(times):
            [task] = await self.projects.next_tasks(annotator, 1)
            side = task.order.index("ab".index(wanted))
            await self.projects.submit(annotator, task.id, Answer(("first", "second")[side], seconds=seconds))

    async def labels(self, made):
        return await self.projects.labels_of(self.project, made.id, limit=100)

    async def again(self, made):
        return await route_again(self.store, self.artifacts, self.project, made.id)


@pytest.fixture
async def place(database_url, tmp_path):
    store = Store(database_url)
    yield Place(store, Artifacts(str(tmp_path)), (await store.access.ensure_project("default")).id)
    await store.close()


UNCERTAIN = {"policy": "uncertain", "budget_labels": 20, "random_share": 0.5}


async def test_a_judge_that_is_wrong_where_it_is_sure_is_found_out(place):
    made, ada = await place.made(routing=UNCERTAIN)
    with pytest.raises(Conflict, match="nobody has answered a pair of the random part"):
        await place.again(made)
    await place.answer(ada, 10)  # people say the opposite of the judge, on ten pairs
    drawn = await place.labels(made)
    assert {label.routed_by for label in drawn} == {"random"}  # which come first
    [held] = await place.projects.next_tasks(ada, 1)
    done = await place.again(made)
    assert (done.labelled, done.shown, done.dropped, done.added) == (10, True, 9, 9)
    assert (done.project.tasks, done.project.open_tasks, done.seconds_per_label) == (20, 10, None)
    # What is held stays and is answered; it was sent for being close.
    assert (await place.projects.next_tasks(ada, 1))[0].id == held.id
    await place.answer(ada, 10)
    labels = await place.labels(made)
    assert len({label.pair_id for label in labels}) == 20
    assert labels[10].pair_id.startswith("close") and labels[10].routed_by == "close"
    assert all(label.pair_id.startswith("sure") and label.p_sent == 1.0 for label in labels[11:])
    assert all(label.replies == (f"good {label.pair_id[5:]}", f"bad {label.pair_id[5:]}") for label in labels[11:])
    assert all(0 < label.p_sent <= 1 for label in labels[:10])
    last = await place.again(made)
    assert (last.dropped, last.added, last.project.tasks) == (0, 0, 20)


async def test_without_a_random_part_it_says_what_is_missing(place):
    made, ada = await place.made(routing=UNCERTAIN | {"random_share": 0})
    await place.answer(ada, 2)
    with pytest.raises(Conflict, match="has no random part"):
        await place.again(made)


async def test_where_every_pair_was_sent_there_is_nothing_to_choose(place):
    made, ada = await place.made(routing=UNCERTAIN | {"budget_labels": 40})
    await place.answer(ada, 2)
    with pytest.raises(Conflict, match="'x' was enough for every pair"):
        await place.again(made)


async def test_a_budget_in_minutes_is_counted_by_how_long_people_took(place):
    minutes = {"policy": "uncertain", "budget_minutes": 10, "random_share": 0.5}
    made, ada = await place.made(routing=minutes, repeat_share=0.5)
    assert (made.open_tasks, made.tasks) == (20, 30)
    await place.answer(ada, 10, seconds=40)  # 15 labels in 10 minutes, not 20
    done = await place.again(made)
    assert (done.seconds_per_label, done.dropped, done.added) == (40, 10, 5)
    # Ten repeats were drawn from the random part, which came first; half of five tasks, rounded, come again.
    assert (done.project.open_tasks, done.project.tasks) == (5, 15 + 10 + 2)


async def test_what_was_given_and_taken_back_stays(place):
    made, ada = await place.made(routing=UNCERTAIN)
    await place.answer(ada, 11)
    await place.projects.undo(ada)
    done = await place.again(made)
    assert (done.dropped, done.added, done.project.tasks) == (9, 9, 20)


async def test_rankings_are_counted_as_tasks(place):
    made, ada = await place.made(kind="rank", routing=UNCERTAIN)
    assert made.tasks == 20
    for _ in range(10):
        [task] = await place.projects.next_tasks(ada, 1)
        best_last = tuple(sorted(range(2), key=lambda seen: -task.order[seen]))
        await place.projects.submit(ada, task.id, Answer("ranked", ranking=best_last))
    done = await place.again(made)
    assert (done.labelled, done.dropped, done.added) == (10, 10, 10)


@pytest.mark.parametrize(
    "settings", [{}, {"routing": {"policy": "random", "budget_labels": 9}}, {"kind": "rewrite", "routing": UNCERTAIN}]
)
async def test_what_was_not_routed_is_not_routed_again(place, settings):
    made, _ = await place.made(**settings)
    with pytest.raises(Conflict, match="not routed by what labels correct"):
        await place.again(made)


async def test_a_closed_project_stays_as_it_is(place):
    made, ada = await place.made(routing=UNCERTAIN)
    await place.answer(ada, 1)
    await place.projects.close(place.project, made.id)
    with pytest.raises(Conflict, match="is closed"):
        await place.again(made)


async def estimated(place, made):
    record = await place.projects.get(place.project, made.id)
    report = await project_quality(place.store, place.artifacts, record)
    return report.judge


async def test_the_judges_accuracy_comes_from_the_random_part_alone(place):
    made, ada = await place.made(routing={"policy": "uncertain", "budget_labels": 30, "random_share": 0.5})
    await place.answer(ada, 3, "a")
    [few] = (await estimated(place, made)).estimated
    assert (few.labels, few.accuracy) == (3, Unknown("too few: 3 labelled pairs of the random part, 10 are needed"))
    await place.answer(ada, 9, "a")
    await place.answer(ada, 3, "b")  # twelve of fifteen are the judge's
    await place.answer(ada, 15, "b")  # and none of those that were routed
    judge = await estimated(place, made)
    [found] = judge.estimated
    assert (found.principle_id, found.labels) == (None, 15)
    assert found.accuracy.low < 0.8 < found.accuracy.high
    assert abs(found.accuracy.estimate - 0.8) < 0.1
    assert judge.with_majority.estimate == 0.4  # twelve of all thirty: the routed ones are the hard ones


async def test_the_source_is_read_for_the_first_report_alone(place):
    made, ada = await place.made()
    await place.answer(ada, 9, "a")
    await estimated(place, made)  # too few labels: nothing is read
    assert await place.artifacts.keys("label-projects") == []
    await place.answer(ada, 3, "b")
    first = await estimated(place, made)
    [kept] = await place.artifacts.keys("label-projects")
    assert kept == f"label-projects/{made.id}/judged.parquet"
    await place.artifacts.delete("preferences/a.parquet")
    assert await estimated(place, made) == first and first.estimated[0].accuracy.low < 0.75


async def test_what_a_project_keeps_is_freed_with_it(place):
    made, ada = await place.made()
    await place.answer(ada, 10, "a")
    await estimated(place, made)
    [kept] = await place.artifacts.keys("label-projects")
    freed = await collect_garbage(place.store, place.artifacts, settle_s=0)
    assert kept not in freed.deleted and freed.kept == 2
    for label in await place.labels(made):
        await place.projects.undo(label.annotator_id)
    await place.projects.delete(place.project, made.id)
    assert (await collect_garbage(place.store, place.artifacts, settle_s=0)).deleted == (kept,)


async def test_where_all_pairs_are_sent_those_answered_so_far_are_drawn_by_lot(place):
    made, ada = await place.made()
    await place.answer(ada, 10, "a")
    [found] = (await estimated(place, made)).estimated
    assert found.accuracy.estimate == 1.0
    await place.answer(ada, 29, "a")
    [found] = (await estimated(place, made)).estimated
    assert isinstance(found.accuracy, Unknown) and "every pair" in found.accuracy.reason


async def test_rewriting_says_nothing_of_the_judge(place):
    made, ada = await place.made(kind="rewrite")
    [task] = await place.projects.next_tasks(ada, 1)
    await place.projects.submit(ada, task.id, Answer("rewritten", rewrite="better"))
    assert (await estimated(place, made)).estimated == ()


async def test_the_judge_beside_rankings_is_read_from_what_the_project_keeps(place):
    made, ada = await place.made(kind="rank")
    for number in range(12):
        [task] = await place.projects.next_tasks(ada, 1)
        # In nine of twelve the order of the set, which is the judge's.
        order = tuple(sorted(range(2), key=lambda seen: task.order[seen] if number < 9 else -task.order[seen]))
        await place.projects.submit(ada, task.id, Answer("ranked", ranking=order))
    first = await estimated(place, made)
    assert (first.questions, first.with_majority.estimate, first.kappa) == (12, 0.75, 0.5)
    assert await place.artifacts.keys("label-projects") == [f"label-projects/{made.id}/orders.parquet"]
    await place.artifacts.delete("preferences/a.parquet")
    assert await estimated(place, made) == first

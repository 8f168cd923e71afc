"""Label projects: leases, overlap, training, gold, repeats, budget, answers that count once, and taking them back."""

import asyncio
from datetime import timedelta

import pytest

from service.errors import Conflict, InvalidInput, NotAllowed, NotFound
from service.store.label_records import Answer
from service.store.label_tables import LabelProject
from service.store.label_turns import LEASE_S, lock_project
from service.store.store import Store
from service.store.tables import rfc3339
from tests.service.store.label_rows import gold, labelling, pair, repeat

FIRST, SKIP = Answer("first", seconds=2.5), Answer("skip")


@pytest.fixture
async def people(store, project):
    return labelling(store, project)


async def answer_all(people, annotator, answer=FIRST):
    """Everything there is for them, in order; what they saw."""
    seen = []
    while tasks := await people.projects.next_tasks(annotator, 1):
        seen.append(tasks[0])
        await people.projects.submit(annotator, tasks[0].id, answer)
    return seen


async def test_a_task_as_its_annotator_sees_it(people):
    made = await people.make([pair(1)])
    assert (made.status, made.tasks, made.open_tasks, made.labels) == ("open", 1, 1, 0)
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 5)
    assert task.prompt[0].content == "question 1"
    assert task.replies == tuple(("a1", "b1")[place] for place in task.order)
    assert task.leased_until == "2026-05-01T12:20:00.000000Z"
    assert await people.projects.next_tasks(ada, 5) == [task]  # a reload


async def test_sides_are_shuffled_and_the_label_is_told_in_the_tasks_own_order(people):
    made = await people.make([pair(n) for n in range(40)])
    ada = await people.annotator(made)
    orders = {task.order for task in await answer_all(people, ada)}
    assert orders == {(0, 1), (1, 0)}  # by chance alone one in 2 ** 39 runs fails
    for label in await people.labels(made):
        assert label.choice == ("a" if label.order == (0, 1) else "b")
        assert (label.annotator_id, label.seconds, label.comment) == (ada, 2.5, "")


async def test_an_answer_sent_twice_counts_once_and_the_first_stays(people):
    made = await people.make([pair(1)])
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    first = await people.projects.submit(ada, task.id, FIRST)
    assert await people.projects.submit(ada, task.id, Answer("tie")) == first
    assert await people.labels(made) == [first]
    assert (await people.projects.get(people.project, made.id)).labels == 1


async def test_no_task_goes_to_more_people_than_its_overlap(people):
    made = await people.make([pair(1)], overlap=2)
    ada, bob, cem = [await people.annotator(made, name) for name in ("Ada", "Bob", "Cem")]
    [task] = await people.projects.next_tasks(ada, 1)
    await people.projects.submit(ada, task.id, FIRST)
    assert len(await people.projects.next_tasks(bob, 1)) == 1
    assert list(await people.projects.next_tasks(cem, 1)) == []
    assert list(await people.projects.next_tasks(ada, 1)) == []  # never twice to the same person
    people.clock.pass_s(LEASE_S)
    assert len(await people.projects.next_tasks(cem, 1)) == 1


async def test_a_lease_that_lapsed_counts_while_there_is_room(people):
    made = await people.make([pair(1), pair(2)])
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    one, two = await people.projects.next_tasks(ada, 2)
    people.clock.pass_s(LEASE_S + 1)
    [taken] = await people.projects.next_tasks(bob, 1)
    assert taken.id == one.id
    with pytest.raises(Conflict, match="others have taken it meanwhile; go on to the next one"):
        await people.projects.submit(ada, one.id, FIRST)
    assert (await people.projects.submit(ada, two.id, FIRST)).task_id == two.id
    assert [label.task_id for label in await people.labels(made)] == [two.id]


async def test_a_task_that_comes_back_looks_as_it_did_with_its_draft(people):
    made = await people.make([pair(1)])
    ada = await people.annotator(made)
    [before] = await people.projects.next_tasks(ada, 1)
    people.clock.pass_s(LEASE_S - 1)
    await people.projects.save_draft(ada, before.id, '{"comment": "hm"}')
    people.clock.pass_s(LEASE_S - 1)  # who types is there: the lease began anew
    [same] = await people.projects.next_tasks(ada, 1)
    assert (same.id, same.order, same.draft) == (before.id, before.order, '{"comment": "hm"}')
    people.clock.pass_s(2 * LEASE_S)
    [again] = await people.projects.next_tasks(ada, 1)
    assert (again.id, again.order, again.draft) == (before.id, before.order, '{"comment": "hm"}')
    await people.projects.submit(ada, again.id, FIRST)
    with pytest.raises(Conflict, match="is answered; undo"):
        await people.projects.save_draft(ada, again.id, "late")


async def test_a_skip_frees_the_task_for_others_and_is_no_answer(people):
    made = await people.make([pair(1)])
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    await answer_all(people, ada, SKIP)
    progress = await people.progress(ada)
    assert (progress.done, progress.skipped, progress.open_tasks) == (0, 1, 0)
    assert (await people.progress(bob)).open_tasks == 1
    [task] = await people.projects.next_tasks(bob, 1)
    with pytest.raises(Conflict, match="others have taken it"):
        await people.projects.undo(ada)
    await people.projects.submit(bob, task.id, FIRST)
    assert [label.choice == "skip" for label in await people.labels(made)] == [True, False]
    assert (await people.projects.get(people.project, made.id)).labels == 1


async def test_undo_takes_back_the_last_answer_and_gives_its_task_again(people):
    made = await people.make([pair(1), pair(2), pair(3)])
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    assert await people.projects.undo(ada) is None
    one, two, three = await people.projects.next_tasks(ada, 3)
    for task in (one, two):
        await people.projects.submit(ada, task.id, FIRST)
    back = await people.projects.undo(ada)
    assert back.id == two.id and back.order == two.order
    assert [task.id for task in await people.projects.next_tasks(ada, 2)] == [two.id, three.id]
    assert list(await people.projects.next_tasks(bob, 3)) == []  # one lease each, nothing is free
    assert (await people.projects.get(people.project, made.id)).labels == 1
    await people.projects.submit(ada, two.id, Answer("tie"))
    assert [label.choice for label in await people.labels(made)][1] == "tie"
    assert (await people.projects.undo(ada)).id == two.id
    assert (await people.projects.undo(ada)).id == one.id
    assert list(await people.labels(made)) == []


async def test_an_answer_is_changed_wherever_it_stands(people):
    made = await people.make([pair(1), pair(2)])
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    one, two = await people.projects.next_tasks(ada, 2)
    for task in (one, two):
        await people.projects.submit(ada, task.id, FIRST)
    changed = await people.projects.change(ada, one.id, Answer("tie", comment="so"))
    assert [(label.task_id, label.choice) for label in await people.labels(made)][1:] == [(one.id, "tie")]
    assert await people.projects.change(ada, one.id, SKIP) != changed
    assert (await people.projects.get(people.project, made.id)).labels == 1
    [free] = await people.projects.next_tasks(bob, 1)  # a skip frees it
    with pytest.raises(Conflict, match="others have taken it"):
        await people.projects.change(ada, one.id, FIRST)
    with pytest.raises(InvalidInput, match="choice"):
        await people.projects.change(ada, two.id, Answer("rewritten", rewrite="x"))
    assert free.id == one.id and (await people.projects.get(people.project, made.id)).labels == 1
    await people.projects.close(people.project, made.id)
    with pytest.raises(Conflict, match="is closed"):
        await people.projects.change(ada, two.id, SKIP)
    assert (await people.projects.label_of(ada, two.id)).choice in ("a", "b")


async def test_a_training_answer_stays(people):
    made = await people.make([pair(1, training=True, gold="a"), pair(2)])
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    first = await people.projects.submit(ada, task.id, FIRST)
    assert await people.projects.change(ada, task.id, Answer("tie")) == first


async def test_training_is_not_undone_since_its_answer_was_told(people):
    made = await people.make([pair(1, training=True, gold="a"), pair(2)])
    ada = await people.annotator(made)
    [training] = await people.projects.next_tasks(ada, 1)
    await people.projects.submit(ada, training.id, FIRST)
    assert await people.projects.undo(ada) is None
    [real] = await people.projects.next_tasks(ada, 1)
    await people.projects.submit(ada, real.id, FIRST)
    assert (await people.projects.undo(ada)).id == real.id
    assert await people.projects.undo(ada) is None


async def test_an_answer_taken_back_leaves_what_its_page_shows_again(people):
    ada = await people.annotator(await people.make([pair(1)]))
    [task] = await people.projects.next_tasks(ada, 1)
    await people.projects.save_draft(ada, task.id, "half")
    await people.projects.submit(ada, task.id, Answer("first", draft="whole"))
    assert (await people.projects.undo(ada)).draft == "whole"
    assert (await people.projects.next_tasks(ada, 1))[0].draft == "whole"
    await people.projects.submit(ada, task.id, FIRST)  # from elsewhere, with nothing typed
    assert (await people.projects.undo(ada)).draft == ""


async def test_training_comes_first_for_everybody_and_beside_the_budget(people):
    made = await people.make([gold(1, training=True), gold(2, training=True), pair(3), pair(4)], budget_labels=1)
    for name, real in (("Ada", 1), ("Bob", 0)):
        seen = await answer_all(people, await people.annotator(made, name))
        assert [task.training for task in seen] == [True, True] + [False] * real
    labels = await people.labels(made)
    assert [label.training for label in labels] == [True, True, False, True, True]
    assert {label.gold for label in labels if label.training} == {"a"}


async def test_gold_goes_to_everybody_at_its_share(people):
    # One in five of each one's tasks, as long as there are real ones beside it: 20 real ones make 5 blocks of 4 + 1.
    made = await people.make([*(gold(n) for n in range(100, 110)), *(pair(n) for n in range(20))], gold_share=0.2)
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    seen = await answer_all(people, ada)
    gold_places = [n for n, task in enumerate(seen) if int(task.prompt[0].content.split()[1]) >= 100]
    assert [place // 5 for place in gold_places][:4] == [0, 1, 2, 3]
    assert len(seen) - len(gold_places) == 20
    assert list(await people.projects.next_tasks(bob, 1)) == []


async def test_a_repeat_comes_to_those_who_answered_the_pair_and_to_them_alone(people):
    made = await people.make([pair(1), pair(2), repeat(1), pair(3)])
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    [one] = await people.projects.next_tasks(ada, 1)
    await people.projects.submit(ada, one.id, FIRST)
    [two] = await people.projects.next_tasks(bob, 1)
    rest = await answer_all(people, ada)
    assert [task.prompt[0].content for task in rest] == ["question 1", "question 3"]
    assert rest[0].id != one.id
    assert [task.id for task in await answer_all(people, bob)] == [two.id]
    assert [label.routed_by for label in await people.labels(made)] == ["all", "repeat", "all", "all"]


async def test_a_task_stays_while_the_answer_to_its_repeat_does(people, store):
    made = await people.make([pair(1, routed_by="close"), pair(2, routed_by="close"), repeat(1), repeat(2)])
    ada = await people.annotator(made)
    await answer_all(people, ada)
    for label in await people.labels(made):
        if label.routed_by == "close":  # the owner deletes both answers; those to the repeats stay
            await store.labels.delete(people.project, label.label_id)
    done = await people.projects.replace_unseen(people.project, made.id, [pair(3, routed_by="flip")], 2)
    assert (done.dropped, done.added, done.project.tasks) == (0, 0, 4)


async def test_a_pair_seen_under_one_principle_stays_under_the_others(people):
    under = [pair(n, routed_by="close", principle_id=id) for n in (1, 2) for id in ("kind", "brief")]
    made = await people.make(under)
    await people.projects.next_tasks(await people.annotator(made), 1)
    new = [pair(n, routed_by="flip", principle_id=id) for n in (1, 3) for id in ("kind", "brief")]
    done = await people.projects.replace_unseen(people.project, made.id, new, 4)
    assert (done.dropped, done.added, done.project.tasks) == (2, 2, 4)
    assert (await people.projects.asked_pairs(people.project, made.id)).kept == {"p1"}


async def test_other_tasks_take_the_place_of_those_that_nobody_saw(people):
    targeted = [pair(n, routed_by="close") for n in range(1, 4)]
    made = await people.make([pair(0, routed_by="random"), *targeted, repeat(1), repeat(2)])
    ada = await people.annotator(made)
    held = await people.projects.next_tasks(ada, 2)  # the random one and the first of the others
    new = [pair(n, routed_by="flip", p_sent=1.0) for n in (1, 2, 5, 6)]
    done = await people.projects.replace_unseen(people.project, made.id, [*new, repeat(2), repeat(6)], 4)
    # Pair 1 is held, so it is not asked anew; there is room for two; the repeat of the old pair 2 goes with it.
    assert (done.dropped, done.added, done.project.tasks, done.project.open_tasks) == (2, 2, 6, 4)
    assert await people.projects.next_tasks(ada, 2) == held
    seen = await answer_all(people, ada)
    assert [task.prompt[0].content[-1] for task in seen] == ["0", "1", "1", "2", "5", "2"]


async def test_the_budget_ends_it(people):
    made = await people.make([pair(n) for n in range(5)], budget_labels=2)
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    assert len(await people.projects.next_tasks(ada, 5)) == 2
    assert list(await people.projects.next_tasks(bob, 5)) == []
    assert (await people.progress(bob)).budget_left == 2
    await answer_all(people, ada)
    people.clock.pass_s(LEASE_S + 1)
    assert list(await people.projects.next_tasks(bob, 5)) == []
    assert (await people.progress(bob)).budget_left == 0


async def test_rankings_and_rewrites_are_told_in_the_tasks_own_order(people):
    ranked = pair(1, kind="rank", replies=("x", "y", "z"))
    made = await people.make([ranked, pair(2, kind="rewrite", replies=("draft",))])
    ada = await people.annotator(made)
    one, two = await people.projects.next_tasks(ada, 2)
    places = tuple(one.replies.index(text) for text in ("z", "x", "y"))  # best to worst, as they stand on the page
    label = await people.projects.submit(ada, one.id, Answer("ranked", ranking=places))
    assert label.ranking == (2, 0, 1)
    assert (await people.projects.submit(ada, two.id, Answer("rewritten", rewrite="better"))).rewrite == "better"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("compare", Answer("ranked", ranking=(0, 1))),
        ("compare", Answer("first", rewrite="mine")),
        ("rank", Answer("first")),
        ("rank", Answer("ranked", ranking=(0, 0))),
        ("rank", Answer("ranked", ranking=(0, 2))),
        ("rewrite", Answer("rewritten", rewrite="  ")),
    ],
)
async def test_an_answer_to_another_question_is_refused(people, kind, answer):
    made = await people.make([pair(1, kind=kind)])
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    with pytest.raises(InvalidInput):
        await people.projects.submit(ada, task.id, answer)
    assert list(await people.labels(made)) == []


async def test_a_task_that_was_not_given_takes_no_answer(people):
    made = await people.make([pair(1)])
    ada, bob = [await people.annotator(made, name) for name in ("Ada", "Bob")]
    [task] = await people.projects.next_tasks(ada, 1)
    for annotator, id in ((bob, task.id), (ada, "ltk_1"), (ada, "a\0b")):
        with pytest.raises(NotFound, match="was not given to this annotator"):
            await people.projects.submit(annotator, id, FIRST)


async def test_an_invitation_enters_on_two_devices_and_ends_when_revoked(people):
    made = await people.make([pair(1)])
    ada, invitation = await people.projects.invite(people.project, made.id, "Ada")
    with pytest.raises(Conflict, match="is invited"):
        await people.projects.invite(people.project, made.id, "Ada")
    (one, phone), (two, desk) = [await people.projects.enter(invitation) for _ in range(2)]
    assert one == two == ada and phone != desk
    assert await people.projects.annotator_of(phone) == await people.projects.annotator_of(desk) == ada
    await people.projects.next_tasks(ada.id, 1)
    await people.projects.revoke(people.project, made.id, ada.id)
    for refused in (
        people.projects.enter(invitation),
        people.projects.annotator_of(desk),
        people.projects.next_tasks(ada.id, 1),
    ):
        with pytest.raises(NotAllowed):
            await refused
    bob = await people.annotator(made, "Bob")
    assert len(await people.projects.next_tasks(bob, 1)) == 1  # what she held is free


async def test_an_answer_waits_for_no_leases_that_were_asked_for_before_it(people):
    made = await people.make([pair(n) for n in range(30)])
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    others = [await people.annotator(made, f"person {n}") for n in range(20)]
    done = []

    async def told(name, work):
        done.append((name, await work))

    leases = [told("lease", people.projects.next_tasks(other, 1)) for other in others]
    await asyncio.gather(*leases, told("answer", people.projects.submit(ada, task.id, FIRST)))
    assert [name for name, _ in done] == ["answer", *["lease"] * 20]
    assert len({tasks[0].id for name, tasks in done if name == "lease"} | {task.id}) == 21


async def test_a_lease_is_judged_by_the_time_at_which_its_turn_came(people, store):
    made = await people.make([pair(1)])
    ada = await people.annotator(made)
    async with store.database.write() as session:
        await session.get(LabelProject, made.id)  # on SQLite it is the only writer from here on
        await lock_project(session, made.id)
        waiting = asyncio.create_task(people.projects.next_tasks(ada, 1))
        await asyncio.sleep(0.1)
        people.clock.pass_s(60)
    [task] = await waiting
    assert task.leased_until == rfc3339(people.clock() + timedelta(seconds=LEASE_S))


async def test_sessions_looked_up_at_the_same_moment_are_each_ones_own(people):
    made = await people.make([pair(1)])
    sessions = {}
    for name in ("Ada", "Bob", "Cy"):
        _, invitation = await people.projects.invite(people.project, made.id, name)
        _, sessions[name] = await people.projects.enter(invitation)
    asked = [*sessions, "Ada", *sessions, "nobody"] * 5
    found = await asyncio.gather(
        *(people.projects.annotator_of(sessions.get(name, "wrong")) for name in asked), return_exceptions=True
    )
    for name, one in zip(asked, found, strict=True):
        assert isinstance(one, NotAllowed) if name == "nobody" else one.name == name


async def test_a_session_ends_after_thirty_days(people):
    made = await people.make([pair(1)])
    _, invitation = await people.projects.invite(people.project, made.id, "Ada")
    _, session = await people.projects.enter(invitation)
    people.clock.pass_s(30 * 24 * 3600 - 1)
    assert (await people.projects.annotator_of(session)).name == "Ada"
    people.clock.pass_s(1)
    with pytest.raises(NotAllowed, match="open your invitation's link again"):
        await people.projects.annotator_of(session)


@pytest.mark.parametrize("wrong", ["", "x", "a\0b", "\udfff", "' or 1=1"])
async def test_a_wrong_secret_opens_nothing(people, wrong):
    await people.annotator(await people.make([pair(1)]))
    for refused in (people.projects.enter(wrong), people.projects.annotator_of(wrong)):
        with pytest.raises(NotAllowed):
            await refused


async def test_a_closed_project_keeps_its_labels_and_takes_no_more(people):
    made = await people.make([pair(1), pair(2)])
    ada = await people.annotator(made)
    one, two = await people.projects.next_tasks(ada, 2)
    await people.projects.submit(ada, one.id, FIRST)
    assert (await people.projects.close(people.project, made.id)).status == "closed"
    for refused in (people.projects.submit(ada, two.id, FIRST), people.projects.undo(ada)):
        with pytest.raises(Conflict, match="is closed"):
            await refused
    assert (await people.projects.submit(ada, one.id, FIRST)).task_id == one.id  # told again, though
    assert len(await people.labels(made)) == 1


async def test_a_project_is_deleted_when_no_label_depends_on_it(people, store, rows):
    law, pairs = await rows.constitution(), await rows.preferences()
    made = await people.make([pair(1), pair(2)], constitution_id=law.id, preference_set_id=pairs.id)
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    await people.projects.submit(ada, task.id, FIRST)
    await people.projects.undo(ada)
    label = await people.projects.submit(ada, task.id, FIRST)
    for part, id in ((store.constitutions, law.id), (store.preference_sets, pairs.id)):
        with pytest.raises(Conflict, match=f"is used by {made.id}"):
            await part.delete(people.project, id)
    with pytest.raises(Conflict, match=label.label_id):
        await people.projects.delete(people.project, made.id)
    await store.labels.delete(people.project, label.label_id)
    assert (await people.projects.get(people.project, made.id)).labels == 0
    assert len(await people.projects.next_tasks(ada, 2)) == 2  # the task lacks an answer again
    await people.projects.delete(people.project, made.id)
    with pytest.raises(NotFound):
        await people.projects.get(people.project, made.id)
    await store.preference_sets.delete(people.project, pairs.id)


async def test_a_project_is_deleted_with_its_labels_where_that_is_asked_for(people, store):
    made, other = await people.make([pair(1), pair(2)]), await people.make([pair(1)])
    for project in (made, other):
        await answer_all(people, await people.annotator(project), FIRST)
    with pytest.raises(Conflict, match="and 1 more labels; delete it with_labels, or close it to keep them"):
        await people.projects.delete(people.project, made.id)
    await people.projects.delete(people.project, made.id, with_labels=True)
    with pytest.raises(NotFound):
        await people.projects.get(people.project, made.id)
    [left] = await store.labels.list(people.project)
    assert left.id == (await people.labels(other))[0].label_id


async def test_another_project_sees_nothing(people, store):
    made = await people.make([pair(1)])
    ada = await people.annotator(made)
    stranger = (await store.access.ensure_project("stranger")).id
    assert list(await people.projects.list(stranger)) == []
    assert [found.id for found in await people.projects.list(people.project)] == [made.id]
    for refused in (
        people.projects.get(stranger, made.id),
        people.projects.close(stranger, made.id),
        people.projects.delete(stranger, made.id),
        people.projects.labels_of(stranger, made.id),
        people.projects.annotators(stranger, made.id),
        people.projects.annotator(stranger, made.id, ada),
        people.projects.revoke(stranger, made.id, ada),
        people.projects.invite(stranger, made.id, "Eve"),
    ):
        with pytest.raises(NotFound):
            await refused
    other = await people.make([pair(1)])
    with pytest.raises(NotFound, match="no annotator"):
        await people.projects.annotator(people.project, other.id, ada)


async def test_labels_stand_among_all_labels_until_they_are_taken_back(people, store):
    made = await people.make([pair(1)])
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)
    label = await people.projects.submit(ada, task.id, FIRST)
    [listed] = await store.labels.list(people.project)
    assert (listed.id, listed.prompt, listed.a, listed.b) == (label.label_id, "question 1", "a1", "b1")
    assert (listed.annotator, listed.task_id) == (ada, task.id)
    await people.projects.undo(ada)
    assert list(await store.labels.list(people.project)) == []


async def test_a_repeat_of_nothing_and_a_project_of_nothing_are_refused(people):
    with pytest.raises(InvalidInput, match="task 0 repeats pair 'p1'"):
        await people.make([repeat(1), pair(1)])
    with pytest.raises(InvalidInput, match="needs a task"):
        await people.make([gold(1)])


async def test_many_at_once_lose_nothing_double_nothing_and_keep_the_overlap(people, database_url):
    made = await people.make([pair(n) for n in range(12)], overlap=2, budget_labels=20)
    names = [await people.annotator(made, f"person {n}") for n in range(6)]
    other = Store(database_url)  # a second process
    stores = [people.projects, labelling(other, people.project).projects]

    async def work(number):
        store, sent = stores[number % 2], []
        while tasks := await store.next_tasks(names[number], 2):
            twice = await asyncio.gather(*(store.submit(names[number], tasks[0].id, FIRST) for _ in range(2)))
            assert twice[0] == twice[1]
            sent.append(twice[0].label_id)
        return sent

    sent = [id for ids in await asyncio.gather(*map(work, range(6))) for id in ids]
    await other.close()
    labels = await people.labels(made)
    assert sorted(sent) == sorted(label.label_id for label in labels)
    by_task = [label.task_id for label in labels]
    assert max(by_task.count(task) for task in by_task) == 2
    # 20 of budget; one may be left over where the last free tasks lay with people who had answered them already.
    assert 18 <= len(labels) <= 20


async def test_of_what_comes_together_each_has_its_own_outcome(people):
    made = await people.make([pair(n) for n in range(4)])
    ada, bob, cem = [await people.annotator(made, name) for name in ("Ada", "Bob", "Cem")]
    [one], [two] = [await people.projects.next_tasks(name, 1) for name in (ada, bob)]
    await people.projects.revoke(people.project, made.id, cem)
    outcomes = await asyncio.gather(
        people.projects.submit(ada, one.id, FIRST),
        people.projects.submit(ada, two.id, FIRST),
        people.projects.submit(bob, two.id, Answer("ranked")),
        people.projects.next_tasks(cem, 1),
        people.projects.submit(bob, two.id, FIRST),
        people.projects.submit(bob, two.id, Answer("tie")),
        people.projects.next_tasks(bob, 2),
        people.projects.next_tasks("a\0b", 1),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds[1:4] == [NotFound, InvalidInput, NotAllowed] and kinds[7] is NotAllowed
    assert outcomes[4] == outcomes[5]
    assert len(outcomes[6]) == 2
    assert {label.label_id for label in await people.labels(made)} == {outcomes[0].label_id, outcomes[4].label_id}


async def test_an_answer_within_anothers_transaction_is_undone_with_it(people, store):
    made = await people.make([pair(1)])
    ada = await people.annotator(made)
    [task] = await people.projects.next_tasks(ada, 1)

    async def opening(_session):
        """Nothing."""

    with pytest.raises(KeyError):
        async with store.database.joined(opening):
            label = await people.projects.submit(ada, task.id, FIRST)
            assert (await people.projects.label_of(ada, task.id)) == label
            raise KeyError
    assert list(await people.labels(made)) == []
    assert [again.id for again in await people.projects.next_tasks(ada, 1)] == [task.id]


async def test_a_label_deleted_while_it_is_taken_back_is_given_back_once(people, store):
    made = await people.make([pair(n) for n in range(5)], overlap=2)
    ada = await people.annotator(made)
    for task in await people.projects.next_tasks(ada, 5):
        label = await people.projects.submit(ada, task.id, FIRST)
        deleting = [store.labels.delete(people.project, label.label_id) for _ in range(2)]
        await asyncio.gather(*deleting, people.projects.undo(ada), return_exceptions=True)
        assert (await people.projects.get(people.project, made.id)).labels == 0
        assert await people.labels(made) == []

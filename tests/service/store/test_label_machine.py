"""Any order of leases, answers, changes of mind and lapses by several annotators keeps what label projects promise."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from service.errors import Conflict, NotFound
from service.store.label_records import Answer
from service.store.label_tables import LabelTask
from service.store.store import Store
from tests.service.store.label_rows import labelling, pair, repeat

PEOPLE, TASKS, LEASE_S = 3, 5, 20 * 60
who = st.integers(0, PEOPLE - 1)


class Machine(RuleBasedStateMachine):
    """`held` is what each annotator's page shows, lapsed or not; `said` is what the store confirmed and still holds."""

    template: Path

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "charter.sqlite"
        shutil.copy(self.template, file)
        self.store = Store(f"sqlite:///{file}")

    def do(self, step):
        return self.runner.run(step)

    @initialize(overlap=st.integers(1, 2), budget=st.sampled_from([0, 4]))
    def begin(self, overlap, budget):
        project = self.do(self.store.access.ensure_project("default")).id
        self.people = labelling(self.store, project)
        # The first pair stands for the random part; the others may make way for what another routing wants.
        targeted = [pair(n, routed_by="close") for n in range(1, TASKS)]
        tasks = [pair(0, routed_by="random"), *targeted, repeat(0), repeat(3)]
        self.routed = 1
        self.made = self.do(self.people.make(tasks, overlap=overlap, budget_labels=budget))
        self.overlap, self.budget = overlap, budget
        self.ids = [self.do(self.people.annotator(self.made, f"person {n}")) for n in range(PEOPLE)]
        self.held: list[dict[str, str]] = [{} for _ in range(PEOPLE)]
        self.said: list[list[tuple[str, str, str]]] = [[] for _ in range(PEOPLE)]

    @rule(person=who, count=st.integers(1, 3))
    def next(self, person, count):
        tasks = self.do(self.people.projects.next_tasks(self.ids[person], count))
        assert len({task.id for task in tasks}) == len(tasks) <= count
        answered = {task for task, _, _ in self.said[person]}
        assert not answered & {task.id for task in tasks}
        for task in tasks:
            self.held[person][task.id] = task.leased_until

    @rule(person=who, choice=st.sampled_from(["first", "second", "tie", "both_bad", "skip"]), pick=st.integers(0, 9))
    def submit(self, person, choice, pick):
        if not self.held[person]:
            return
        task = sorted(self.held[person])[pick % len(self.held[person])]
        try:
            label = self.do(self.people.projects.submit(self.ids[person], task, Answer(choice)))
        except Conflict:
            assert self.held[person][task] <= self.now()  # only a lease that lapsed is refused
            return
        except NotFound:
            assert self.repeats(task)  # a repeat whose first answer was taken back
            del self.held[person][task]
            return
        told = (task, label.label_id, label.choice)
        if task not in {known for known, _, _ in self.said[person]}:
            self.said[person].append(told)
        assert told in self.said[person]

    @rule(person=who, choice=st.sampled_from(["first", "skip"]), pick=st.integers(0, 9))
    def change(self, person, choice, pick):
        if not self.said[person]:
            return
        said = self.said[person][pick % len(self.said[person])]
        try:
            label = self.do(self.people.projects.change(self.ids[person], said[0], Answer(choice)))
        except Conflict:
            assert said[2] == "skip"
            return
        assert label.label_id != said[1]
        self.said[person].remove(said)
        self.said[person].append((said[0], label.label_id, label.choice))

    @rule(person=who)
    def undo(self, person):
        try:
            task = self.do(self.people.projects.undo(self.ids[person]))
        except Conflict:
            assert self.said[person][-1][2] == "skip"
            return
        assert (task is None) == (not self.said[person])
        if task is not None:
            assert self.said[person].pop()[0] == task.id
            self.held[person][task.id] = task.leased_until

    @rule()
    def route_again(self):
        """Some pairs of before, some new ones."""
        first = self.routed * (TASKS - 2)
        tasks = [pair(n, routed_by="flip") for n in range(first, first + TASKS)]
        before = {task for person in self.held for task in person} | self.do(
            _tasks_with_answers(self.people, self.made)
        )
        done = self.do(
            self.people.projects.replace_unseen(self.people.project, self.made.id, [*tasks, repeat(first)], TASKS)
        )
        assert done.added == done.dropped <= TASKS
        assert before <= self.do(_ids_in_lane(self.store, "open", "done", "repeat"))
        self.routed += 1

    @rule(seconds=st.sampled_from([60, LEASE_S // 2, LEASE_S + 1]))
    def wait(self, seconds):
        self.people.clock.pass_s(seconds)

    @invariant()
    def nothing_is_lost_or_doubled(self):
        if not hasattr(self, "said"):
            return
        labels = self.do(self.people.labels(self.made))
        there = sorted((label.annotator_id, label.task_id, label.label_id, label.choice) for label in labels)
        said = sorted((self.ids[person], *told) for person in range(PEOPLE) for told in self.said[person])
        assert there == said
        record = self.do(self.people.projects.get(self.people.project, self.made.id))
        counted = [label for label in labels if label.choice != "skip"]
        assert record.labels == len(counted)
        full = [task for task in {label.task_id for label in counted} if self.answers(counted, task) == self.overlap]
        repeats = {label.task_id for label in labels if label.routed_by == "repeat"}
        assert record.open_tasks == TASKS - len(set(full) - repeats)

    @invariant()
    def no_task_goes_over_its_overlap_nor_all_over_the_budget(self):
        if not hasattr(self, "said"):
            return
        on_task: dict[str, set[int]] = {}
        for person in range(PEOPLE):
            skipped = {task for task, _, choice in self.said[person] if choice == "skip"}
            answered = {task for task, _, _ in self.said[person]} - skipped
            alive = self.do(self.people.projects.next_tasks(self.ids[person], 0))
            assert list(alive) == []  # asked for none, given none
            living = {task for task, until in self.held[person].items() if until > self.now()} - skipped
            for task in answered | living:
                on_task.setdefault(task, set()).add(person)
        assert all(len(people) <= self.overlap for people in on_task.values())
        if self.budget:
            assert sum(map(len, on_task.values())) <= self.budget

    def now(self):
        return self.people.clock().isoformat(timespec="microseconds").replace("+00:00", "Z")

    def repeats(self, task):
        return task in self.do(_ids_in_lane(self.store, "repeat"))

    @staticmethod
    def answers(labels, task):
        return sum(label.task_id == task for label in labels)

    def teardown(self):
        self.do(self.store.close())
        self.runner.close()
        with contextlib.suppress(OSError):
            self.folder.cleanup()


async def _ids_in_lane(store, *lanes):
    async with store.database.read() as session:
        return set(await session.scalars(select(LabelTask.id).where(LabelTask.lane.in_(lanes))))


async def _tasks_with_answers(people, made):
    return {label.task_id for label in await people.labels(made)}


def test_any_order_of_steps(sqlite_template):
    Machine.template = sqlite_template
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

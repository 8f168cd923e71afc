"""A project that has something on every page: two versions of a law, a finished run with all it left, and a living one.

What a model wrote is hostile here: it must be shown as text.
"""

import hashlib
from dataclasses import dataclass

from constitutions.canonical import canonical_json, constitution_sha256
from constitutions.loader import load_constitution
from judges.records import Abstention, Comparison, Message, Preference, PrincipleVerdict, Prompt
from service.api.state import Backend
from service.schemas import JudgeSettings, RunRequest
from service.shards import to_parquet
from service.store.label_records import Answer, NewLabelProject
from service.store.records import (
    AdapterRecord,
    ConstitutionRecord,
    JsonObject,
    ModelRecord,
    NewEvent,
    PreferenceSetRecord,
    PromptSetRecord,
    RunReferences,
)
from tests.service.pages.label_seed import compare
from training.rows import PreferenceRow

MEASURED: JsonObject = {
    "standings": [
        {"source": "ai", "shared_votes": 60, "agreement": 0.7, "weight": 0.45, "worth": 0.25, "worth_low": 0.1,
         "worth_high": 0.4, "next_worth": 0.2},
        {"source": "check", "shared_votes": 0, "agreement": None, "weight": 1.0, "worth": None, "next_worth": None},
    ],
    "people_agreement": {"shared": 40, "agreement": 0.725},
    "gold": 12,
    "dropped_by_ratio": 3,
}  # fmt: skip
HOSTILE = "<script>alert('reply')</script><img src=x onerror=alert(1)> \u202eback\x1b[31m"
LAW = """name: short
version: "{version}"
principles:
  - id: brief
    kind: checked
    text: {brief}
    check: {{max_words: {words}}}
  - id: kind
    kind: judged
    text: The reply is <b>kind</b>.
"""
BUNDLE = b"a bundle"


@dataclass(frozen=True)
class Seeded:
    """The ids of what is there."""

    old_law: str
    new_law: str
    finished_run: str
    living_run: str
    preference_set: str
    adapter: str
    label_project: str

    @property
    def pages(self) -> tuple[str, ...]:
        """Every page that a signed-in person can reach."""
        return (
            "/ui/runs",
            f"/ui/runs/{self.finished_run}",
            f"/ui/runs/{self.living_run}",
            "/ui/constitutions",
            f"/ui/constitutions/{self.new_law}?against={self.old_law}",
            "/ui/preference-sets",
            f"/ui/preference-sets/{self.preference_set}",
            f"/ui/preference-sets/{self.preference_set}/pairs/0/verdicts",
            f"/ui/preference-sets/{self.preference_set}/report?constitution=&prompts=",
            f"/ui/preference-sets/{self.preference_set}/report/findings",
            "/ui/label-projects",
            f"/ui/label-projects/{self.label_project}",
            f"/ui/label-projects/{self.label_project}/quality",
            f"/ui/label-projects/{self.label_project}/comments",
            "/ui/adapters",
            f"/ui/adapters/{self.adapter}",
        )


async def seed(backend: Backend, project: str) -> Seeded:
    """Everything, in one go."""
    store = backend.store
    old = await _law(backend, project, "1", "At most fifty words, please.", 50)
    new = await _law(backend, project, "2", "At most thirty words, please.", 30)
    references = await _references(backend, project, new)
    request = RunRequest(constitution="short", prompts="p", model="base", judge=JudgeSettings(model="base"))
    finished = (await store.runs.create(project, request, references, backend.enqueue)).id
    await store.runs.move(finished, "running")
    preference_set = await _preferences(backend, project, finished)
    await _stages(backend, finished, preference_set)
    await store.runs.move(finished, "succeeded")
    adapter = await _adapter(backend, project, finished)
    living = (await store.runs.create(project, request, references, backend.enqueue)).id
    await store.runs.move(living, "running")
    await store.runs.add_event(living, NewEvent("sample", "stage", data={"status": "started"}))
    await store.runs.add_event(living, NewEvent("sample", "progress", done=3, total=12, eta_s=9.0))
    await store.runs.add_event(living, NewEvent("sample", "warning", data={"message": HOSTILE}))
    return Seeded(old, new, finished, living, preference_set, adapter, await _labelled(backend, project, new))


# By the number of the task beside whose answer it stands.
_COMMENTS = {0: HOSTILE, 3: "It names its source."}


async def _labelled(backend: Backend, project: str, law: str) -> str:
    """Twelve tasks of thirteen that two people answered alike, with comments; a judge believes in each first reply.

    In the last one's replies Bo, who alone has seen it, finds nothing good.
    """
    store = backend.store.label_projects
    tasks = [compare(n, judge_p_a=0.9, routed_by="flip" if n else "random") for n in range(13)]
    new = NewLabelProject(project, "sky", guideline=f"**Be kind.** {HOSTILE}", constitution_id=law, overlap=2)
    made = await store.create(new, tasks)
    for name in (f"Ada {HOSTILE}"[:128], "Bo"):
        person, _ = await store.invite(project, made.id, name)
        for number in range(12):
            [task] = await store.next_tasks(person.id, 1)
            wanted = 0 if number % 2 else 1
            choice = "first" if task.order[0] == wanted else "second"
            await store.submit(person.id, task.id, Answer(choice, comment=_COMMENTS.get(number, ""), seconds=9))
    [task] = await store.next_tasks(person.id, 1)
    await store.submit(person.id, task.id, Answer("both_bad", seconds=9))
    return made.id


async def _law(backend: Backend, project: str, version: str, brief: str, words: int) -> str:
    source = LAW.format(version=version, brief=brief, words=words)
    law = load_constitution(source, name="short.yaml")
    record = ConstitutionRecord(
        "", project, law.name, law.version, constitution_sha256(law), canonical_json(law), source, ""
    )
    return (await backend.store.constitutions.add(record)).id


async def _references(backend: Backend, project: str, law: str) -> RunReferences:
    store = backend.store
    held_out = Prompt("h1", (Message("user", f"Why is the sky blue? {HOSTILE}"),), "held_out")
    await backend.artifacts.put_new("prompts/p.parquet", to_parquet([held_out]))
    prompts = await store.prompt_sets.add(PromptSetRecord("", project, "p", "0" * 64, "prompts/p.parquet", 2, 1, ""))
    model = await store.models.add(
        ModelRecord("", project, "base", None, "http://localhost:1", "base", None, None, 128, "", "")
    )
    return RunReferences(law, prompts.id, None, None, model.id, model.id)


def rows() -> list[PreferenceRow]:
    """Three of a judge's, of which the first is unsure, and a person's."""
    asked = (Message("user", f"Why is the sky blue? {HOSTILE}"),)
    common = {"prompt_id": "p1", "prompt": asked, "weight": 1.0}
    return [
        PreferenceRow(
            id=f"row_{number}",
            chosen=f"reply {number} {HOSTILE}",
            rejected="Great question!",
            p_chosen=p_chosen,
            source="ai",
            judge="base",
            per_principle=(("brief", p_chosen), ("kind", 0.25)),
            **common,
        )
        for number, p_chosen in enumerate((0.55, 0.75, 0.95))
    ] + [
        PreferenceRow(
            id="h1",
            chosen='Air scatters "blue" light.',
            rejected="No idea.",
            p_chosen=1.0,
            source="human",
            annotators=("ann",),
            **common,
        )
    ]


async def _preferences(backend: Backend, project: str, run: str) -> str:
    data = to_parquet(rows())
    key = f"preferences/{hashlib.sha256(data).hexdigest()}.parquet"
    await backend.artifacts.put_new(key, data)
    report = {"human": 1, "ai": 3, "check": 0, "conflicts": 0}
    record = PreferenceSetRecord("", project, "mixed", "mixed", "0" * 64, key, 4, report, run, "")
    return (await backend.store.preference_sets.add(record)).id


async def _stages(backend: Backend, run: str, preference_set: str) -> None:
    runs = backend.store.runs
    principles = [
        {"id": "brief", "kind": "checked", "before": 0.25, "after": 0.75, "lift": 0.5},
        {"id": "joint", "kind": "joint", "before": 0.25, "after": 0.75, "lift": 0.5},
        {"id": "kind", "kind": "judged", "before": 0.5, "after": 0.625, "lift": 0.125},
    ]
    evaluated = [{**one, "low": one["lift"] - 0.2, "high": one["lift"] + 0.1, "prompts": 8} for one in principles]
    results = {
        "sample": {"samples": 8},
        "revise": {"revisions": 2, "abstentions": 1},
        "judge": {**await _judged(backend), "verdicts": 2, "abstentions": 1, "flips": 1, "qualification": None},
        "mix": {
            "preference_set": preference_set,
            "report": {"human": 1, "ai": 3, "review": 2, "review_set": preference_set, **MEASURED},
        },
        "train": {"steps": 3},
        "evaluate": {
            "principles": evaluated,
            "statistics": {"before": {"mean_words": 40.0}, "after": {"mean_words": 20.5}},
            "examples": [{"prompt": f"Why? {HOSTILE}", "before": HOSTILE, "after": "Because. " * 400}],
        },
        "bundle": {},
    }
    for stage, result in results.items():
        await runs.add_event(run, NewEvent(stage, "stage", data={"status": "started"}))
        if stage == "train":
            for step, (loss, kl) in enumerate(((0.9, 0.0), (0.6, 0.1), (0.3, 0.2)), start=1):
                held = {"held_out_kl": kl / 2} if step == 3 else {}
                data = {"step": step, "loss": loss, "kl": kl, "lr": 0.1, **held}
                await runs.add_event(run, NewEvent("train", "metric", done=step, total=3, data=data))
        await runs.record_stage(run, stage, result, 61.0)
        await runs.add_event(run, NewEvent(stage, "stage", data={"status": "finished", "seconds": 61.0}))


async def _judged(backend: Backend) -> dict[str, object]:
    """One comparison, in which the chosen reply stands as B; one principle's orders disagree, the other abstained."""
    first = rows()[0]
    pair = Comparison("cmp_0", "p1", first.prompt, first.rejected, first.chosen)
    said = {
        "brief": Preference(p_a=0.45, p_a_ab=0.7, p_a_ba=0.25, label_mass=0.9, reason=HOSTILE),
        "kind": Abstention("no_label_mass", HOSTILE),
    }
    keys = []
    for id_, verdict in said.items():
        one = PrincipleVerdict("cmp_0", "p1", id_, "judged", "base", "0" * 64, verdict)
        keys.append(f"verdicts/{id_}.parquet")
        await backend.artifacts.put_new(keys[-1], to_parquet([one]))
    await backend.artifacts.put_new("comparisons/c.parquet", to_parquet([pair]))
    return {"shards": keys, "comparisons": ["comparisons/c.parquet"]}


async def _adapter(backend: Backend, project: str, run: str) -> str:
    await backend.artifacts.put_new("adapters/a.tar.gz", BUNDLE)
    manifest = {
        "constitution_name": "short",
        "constitution_version": "2",
        "method": "dpo",
        "base_model": {"name": "base", "sha256": "b" * 64, "licence": "apache-2.0"},
        "adapter_sha256": "a" * 64,
        "notes": [HOSTILE],
        "config": {"beta": 0.1, "limits": None},
        "versions": {"torch": "2"},
    }
    digest = hashlib.sha256(BUNDLE).hexdigest()
    record = AdapterRecord("", project, run, "short", "adapters/a.tar.gz", digest, len(BUNDLE), manifest, "")
    return (await backend.store.adapters.add(record)).id

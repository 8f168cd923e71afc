"""Label projects by the API: the stranger first, then an owner with a key and an annotator with a cookie."""

import json
from dataclasses import replace

import pytest

from judges.records import Prompt
from service.api.csrf import csrf_token
from service.api.state import ANNOTATOR_COOKIE
from service.shards import read_shard

PAIRS = "".join(f'{{"prompt": "question {n}", "chosen": "good {n}", "rejected": "bad {n}"}}\n' for n in range(4))
BASE = "/v1/label-projects"


@pytest.fixture
async def made(service):
    await service.http.post("/v1/preference-sets?name=people", content=PAIRS)
    answer = await service.http.post(
        BASE, json={"name": "helpful", "preference_set": "people", "guideline": "**Be** kind."}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def invite(service, made, name="Ada"):
    answer = await service.http.post(f"{BASE}/{made['id']}/invitations", json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def page(service, invitation):
    """A client with the annotator's cookie and no key, and its session's secret."""
    _, secret = await service.store.label_projects.enter(invitation["url"].rpartition("/")[2])
    client = service.client(None)
    client.cookies.set(ANNOTATOR_COOKIE, secret)
    return client, {"X-CSRF-Token": csrf_token(secret)}


async def test_a_stranger_opens_nothing(service, made):
    routes = [
        ("POST", BASE), ("GET", BASE), ("GET", f"{BASE}/x"), ("POST", f"{BASE}/x/close"), ("DELETE", f"{BASE}/x"),
        ("POST", f"{BASE}/x/invitations"), ("GET", f"{BASE}/x/annotators"), ("DELETE", f"{BASE}/x/annotators/y"),
        ("GET", f"{BASE}/x/tasks/next"), ("GET", f"{BASE}/x/quality"), ("POST", f"{BASE}/x/prompt-set"),
        ("POST", f"{BASE}/x/route"), ("GET", f"{BASE}/x/labels"), ("POST", f"{BASE}/x/preference-set"),
        ("POST", "/v1/labels"), ("GET", "/label"), ("POST", "/label/answer"), ("GET", "/label/anything"),
    ]  # fmt: skip
    async with service.client(None) as stranger, service.client(None) as liar:
        liar.cookies.set(ANNOTATOR_COOKIE, "wrong")
        for method, path in routes:
            assert (await stranger.request(method, path)).status_code == 401, path
            assert (await liar.request(method, path)).status_code == 401, path


async def test_the_project_as_it_was_made(service, made):
    assert (made["status"], made["tasks"], made["open_tasks"], made["labels"]) == ("open", 4, 4, 0)
    assert (made["overlap"], made["guideline"], made["principle_ids"]) == (1, "**Be** kind.", [])
    assert (await service.http.get(f"{BASE}/helpful")).json() == made
    assert (await service.http.get(BASE)).json()["data"] == [made]


async def test_what_is_wrong_with_a_body_is_told_in_our_own_words(service, made):
    refused = await service.http.post(
        BASE, json={"name": "x", "preference_set": "people", "routing": {"policy": "random"}}
    )
    said = "routing: policy random needs budget_labels or budget_minutes, one of the two"
    assert (refused.status_code, refused.json()["detail"]) == (422, said)


async def test_replies_that_no_ranking_holds_are_counted(service, made):
    rows = "".join(f'{{"prompt": "q", "chosen": "reply {n}", "rejected": "reply {n + 1}"}}\n' for n in range(10))
    await service.http.post("/v1/preference-sets?name=eleven", content=rows)
    routing = {"policy": "uncertain", "budget_labels": 1, "random_share": 1}
    body = {"name": "order", "preference_set": "eleven", "kind": "rank", "routing": routing}
    ranked = (await service.http.post(BASE, json=body)).json()
    assert (ranked["tasks"], ranked["left_out_replies"], made["left_out_replies"]) == (1, 2, 0)
    unsaid = {"budget_minutes": None, "seconds_per_label": 30.0}
    assert (ranked["kind"], ranked["routing"]) == ("rank", routing | unsaid)
    everything = unsaid | {"policy": "all", "budget_labels": None, "random_share": 0.2}
    assert (made["kind"], made["routing"]) == ("compare", everything)
    again = await service.http.post(f"{BASE}/order/route")  # what was asked for is read back from what is kept
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("routing", [{}, {"policy": "random"}, {"policy": "uncertain"}])
async def test_however_it_is_routed_a_weaker_reply_is_rewritten_once(service, routing):
    pairs = [("good", "bad"), ("better", "bad"), ("good", "worse")]
    rows = "".join(f'{{"prompt": "q", "chosen": "{one}", "rejected": "{other}"}}\n' for one, other in pairs)
    await service.http.post("/v1/preference-sets?name=three", content=rows)
    budget = {"budget_labels": 9} if routing else {}
    body = {"name": "x", "preference_set": "three", "kind": "rewrite", "routing": routing | budget}
    made = await service.http.post(BASE, json=body)
    assert made.status_code == 201, made.text
    ada = (await invite(service, made.json()))["annotator"]["id"]
    tasks = (await service.http.get(f"{BASE}/x/tasks/next?annotator={ada}&count=9")).json()["data"]
    assert sorted(task["replies"][0] for task in tasks) == ["bad", "worse"]


async def test_an_annotator_answers_by_cookie_and_token(service, made):
    invitation = await invite(service, made)
    client, token = await page(service, invitation)
    async with client:
        [task] = (await client.get(f"{BASE}/{made['id']}/tasks/next")).json()["data"]
        assert sorted(task["replies"]) == sorted(
            [f"{word} {task['prompt'][0]['content'][-1]}" for word in ("good", "bad")]
        )
        assert "order" not in task
        answer = {"task_id": task["id"], "choice": "first", "seconds": 3.5}
        refused = await client.post("/v1/labels", json=answer)
        assert (refused.status_code, refused.json()["detail"][:16]) == (403, "the form's token")
        sent = [await client.post("/v1/labels", json=answer, headers=token) for _ in range(2)]
        assert [one.status_code for one in sent] == [201, 201]
        assert sent[0].json() == sent[1].json()
        kept = [
            await client.post("/v1/labels", json=answer, headers=token | {"Idempotency-Key": "k"}) for _ in range(2)
        ]
        assert [one.json() for one in kept] == [sent[0].json()] * 2
        assert "Idempotent-Replayed" in kept[1].headers
        assert sent[0].json()["annotator"] == invitation["annotator"]["id"]
    [label] = (await service.http.get(f"{BASE}/helpful/labels")).json()["data"]
    assert label["replies"]["ab".index(label["choice"])] == task["replies"][0]
    assert (label["task_id"], label["seconds"]) == (task["id"], 3.5)


async def test_a_session_opens_its_own_project_and_nothing_else(service, made):
    other = (await service.http.post(BASE, json={"name": "other", "preference_set": "people"})).json()
    client, token = await page(service, await invite(service, made))
    async with client:
        for path in ("/v1/labels", "/v1/runs", BASE, f"{BASE}/{made['id']}", f"{BASE}/{made['id']}/labels"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.delete(f"{BASE}/{made['id']}", headers=token)).status_code == 401
        assert (await client.get(f"{BASE}/{other['id']}/tasks/next")).status_code == 404
        assert (await client.get(f"{BASE}/{made['id']}/tasks/next?annotator=ann_other")).status_code == 404
        free = {"annotator": "ann_1", "prompt": "p", "a": "x", "b": "y", "choice": "a"}
        assert (await client.post("/v1/labels", json=free, headers=token)).status_code == 401


async def test_a_key_asks_and_answers_for_an_annotator(service, made):
    ada = (await invite(service, made))["annotator"]["id"]
    next_ = f"{BASE}/{made['id']}/tasks/next"
    assert (await service.http.get(next_)).status_code == 422
    tasks = (await service.http.get(f"{next_}?annotator={ada}&count=2")).json()["data"]
    assert len(tasks) == 2
    async with service.client(await service.key(("read",))) as reader:
        assert (await reader.get(f"{next_}?annotator={ada}")).status_code == 403
    async with service.client(await service.key(("read", "write"), "other")) as other:
        assert (await other.get(f"{next_}?annotator={ada}")).status_code == 404
        said = {"task_id": tasks[0]["id"], "annotator": ada, "choice": "first"}
        assert (await other.post("/v1/labels", json=said)).status_code == 404
    answers = [{"task_id": task["id"], "annotator": ada, "choice": "tie"} for task in tasks]
    assert (await service.http.post("/v1/labels", json=answers[0])).json()["choice"] == "tie"
    assert (await service.http.post("/v1/labels", json=answers[1] | {"annotator": None})).status_code == 422
    assert (await service.http.post("/v1/labels", json=answers[1] | {"choice": "ranked"})).status_code == 422
    assert (await service.http.post("/v1/labels", json=answers[1] | {"task_id": "ltk_x"})).status_code == 404


async def test_an_invitation_is_told_once_and_ends_when_revoked(service, made):
    headers = {"Idempotency-Key": "once"}
    body = {"name": "Ada"}
    first, again = [
        await service.http.post(f"{BASE}/helpful/invitations", json=body, headers=headers) for _ in range(2)
    ]
    assert first.json()["url"].startswith("/label/enter/") and again.json()["url"] is None
    assert first.json()["annotator"] == again.json()["annotator"]
    assert (await service.http.post(f"{BASE}/helpful/invitations", json=body)).status_code == 409
    client, _ = await page(service, first.json())
    async with client:
        assert (await client.get(f"{BASE}/{made['id']}/tasks/next")).status_code == 200
        assert (await service.http.delete(f"{BASE}/helpful/annotators/Ada")).status_code == 200
        assert (await client.get(f"{BASE}/{made['id']}/tasks/next")).status_code == 401
    [ada] = (await service.http.get(f"{BASE}/helpful/annotators")).json()["data"]
    assert ada["revoked_at"] is not None


async def test_answers_become_a_preference_set(service, made):
    ada = (await invite(service, made))["annotator"]["id"]
    empty = await service.http.post(f"{BASE}/helpful/preference-set", json={"name": "may"})
    assert empty.status_code == 422
    for choice in ("first", "tie", "both_bad", "skip"):
        [task] = (await service.http.get(f"{BASE}/helpful/tasks/next?annotator={ada}")).json()["data"]
        said = {"task_id": task["id"], "annotator": ada, "choice": choice}
        assert (await service.http.post("/v1/labels", json=said)).status_code == 201
    assert (await service.http.get(f"{BASE}/helpful/tasks/next?annotator={ada}")).json()["data"] == []
    for aggregate in (False, True):
        body = {"name": "may", "aggregate": aggregate}
        answer = await service.http.post(f"{BASE}/helpful/preference-set", json=body)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["kind"], answer.json()["rows"], answer.json()["report"]["skips"]) == ("human", 2, 1)
        assert len(answer.json()["report"]["asks_revision"]) == 1
    measured = await service.http.post(f"{BASE}/helpful/preference-set", json={"name": "june", "weights": "measured"})
    assert measured.json()["report"]["weights"] == {ada: 1.0}  # nothing of hers can be checked
    assert (await service.http.post(f"{BASE}/helpful/preference-set", json={"weights": "own"})).status_code == 422
    rows = (await service.http.get("/v1/preference-sets/may/rows")).json()["data"]
    assert sorted(row["p_chosen"] for row in rows) == [0.5, 1.0]
    assert {tuple(row["annotators"]) for row in rows} == {(ada,)}


async def test_prompts_whose_replies_are_bad_become_a_prompt_set(service, made):
    ada = (await invite(service, made))["annotator"]["id"]
    for choice in ("first", "both_bad"):
        refused = await service.http.post(f"{BASE}/helpful/prompt-set", json={"name": "weak"})
        assert (refused.status_code, "nobody has said" in refused.text) == (422, True)
        [task] = (await service.http.get(f"{BASE}/helpful/tasks/next?annotator={ada}")).json()["data"]
        said = {"task_id": task["id"], "annotator": ada, "choice": choice}
        assert (await service.http.post("/v1/labels", json=said)).status_code == 201
    answer = await service.http.post(f"{BASE}/helpful/prompt-set", json={"name": "weak"})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["train"], answer.json()["held_out"]) == ("weak", 1, 0)
    found = await service.store.prompt_sets.get(service.project, "weak")
    [prompt] = await read_shard(service.app.state.backend.artifacts, found.artifact, Prompt)
    assert [(turn.role, turn.content) for turn in prompt.messages] == [("user", task["prompt"][0]["content"])]


async def test_closed_and_deleted(service, made):
    ada = (await invite(service, made))["annotator"]["id"]
    [task] = (await service.http.get(f"{BASE}/helpful/tasks/next?annotator={ada}")).json()["data"]
    assert (await service.http.delete("/v1/preference-sets/people")).status_code == 409
    assert (await service.http.post(f"{BASE}/helpful/close")).json()["status"] == "closed"
    said = {"task_id": task["id"], "annotator": ada, "choice": "first"}
    late = await service.http.post("/v1/labels", json=said)
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert (await service.http.get(f"{BASE}/helpful/tasks/next?annotator={ada}")).json()["data"] == []
    assert (await service.http.delete(f"{BASE}/helpful")).json() == {"id": "helpful", "deleted": True}
    assert (await service.http.get(f"{BASE}/helpful")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "x"}, 422),
        ({"name": "x", "preference_set": "people", "run": "run_1"}, 422),
        ({"name": "x", "preference_set": "no such"}, 404),
        ({"name": "x", "run": "run_1"}, 404),
        ({"name": "x", "preference_set": "people", "principles": ["brief"]}, 422),
        ({"name": "x", "preference_set": "people", "constitution": "no such"}, 404),
        ({"name": "../x", "preference_set": "people"}, 422),
        ({"name": "x", "preference_set": "people", "overlap": 0}, 422),
        ({"name": "x", "preference_set": "people", "guideline": "a\0b"}, 422),
    ],
)
async def test_what_cannot_be_made_is_refused(service, made, body, status):
    answer = await service.http.post(BASE, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_forms_token_stands_in_its_field_too(service, made):
    _, secret = await service.store.label_projects.enter((await invite(service, made))["url"].rpartition("/")[2])
    async with service.client(None) as client:
        client.cookies.set(ANNOTATOR_COOKIE, secret)
        for csrf, status in (
            (csrf_token(secret), {404}),
            ("wrong", {403}),
            ("", {403}),
        ):  # 404: no such page, but let in
            answer = await client.post("/label/no-such-page", data={"csrf": csrf})
            assert answer.status_code in status, answer.text


async def test_the_quality_of_the_answers(service, made):
    ada = (await invite(service, made))["annotator"]["id"]
    for _ in range(2):
        [task] = (await service.http.get(f"{BASE}/helpful/tasks/next?annotator={ada}")).json()["data"]
        said = {"task_id": task["id"], "annotator": ada, "choice": "first", "seconds": 9}
        assert (await service.http.post("/v1/labels", json=said)).status_code == 201
    report = (await service.http.get(f"{BASE}/helpful/quality")).json()
    assert (report["labels"], report["questions"], report["overlapping"]) == (2, 2, 0)
    assert report["alpha"] == {"reason": "too few: 0 questions with two answers, 10 are needed"}
    [one] = report["annotators"]
    assert (one["annotator_id"], one["labels"], one["weight"]) == (ada, 2, 1.0)
    assert (await service.http.get(f"{BASE}/nothing/quality")).status_code == 404


async def test_routed_again_when_the_random_part_is_labelled(service, made):
    assert (await service.http.post(f"{BASE}/helpful/route")).status_code == 409  # it was not routed
    routing = {"policy": "uncertain", "budget_labels": 3, "random_share": 0.5}
    body = {"name": "routed", "preference_set": "people", "routing": routing}
    routed = (await service.http.post(BASE, json=body)).json()
    ada = (await invite(service, routed))["annotator"]["id"]
    assert (await service.http.post(f"{BASE}/routed/route")).status_code == 409  # nothing is labelled
    [task] = (await service.http.get(f"{BASE}/routed/tasks/next?annotator={ada}")).json()["data"]
    assert "p_sent" not in task
    said = {"task_id": task["id"], "annotator": ada, "choice": "first"}
    assert (await service.http.post("/v1/labels", json=said)).status_code == 201
    done = (await service.http.post(f"{BASE}/routed/route")).json()
    assert (done["labelled"], done["dropped"], done["added"], done["seconds_per_label"]) == (1, 1, 1, None)
    assert (done["project"]["tasks"], done["project"]["open_tasks"]) == (3, 2)
    [label] = (await service.http.get(f"{BASE}/routed/labels")).json()["data"]
    # Two of four by lot, one more by rank.
    assert label["routed_by"] == "random" and 0.5 <= label["p_sent"] <= 1
    assert (await service.http.post(f"{BASE}/nothing/route")).status_code == 404


async def answered(service, project, choice="first"):
    """Every task of the project, answered by one person."""
    ada = (await invite(service, project))["annotator"]["id"]
    path = f"{BASE}/{project['id']}/tasks/next?annotator={ada}&count=20"
    for task in (await service.http.get(path)).json()["data"]:
        answer = {"task_id": task["id"], "annotator": ada, "choice": choice}
        assert (await service.http.post("/v1/labels", json=answer)).status_code == 201


async def test_answers_about_pairs_under_review_say_so_and_join_the_earlier_labels(service, made):
    people = await service.store.preference_sets.get(service.project, "people")
    review = replace(people, id="", name="review-run", kind="review", sha256="r" * 64)
    await service.store.preference_sets.add(review)
    project = (await service.http.post(BASE, json={"name": "again", "preference_set": "review-run"})).json()
    assert project["tasks"] == 4
    await answered(service, project)
    gathered = await service.http.post(f"{BASE}/again/preference-set", json={"name": "both", "add_to": "people"})
    assert gathered.status_code == 201, gathered.text
    assert gathered.json()["rows"] == 8
    lines = (await service.http.get("/v1/preference-sets/both/export?format=charter")).text.splitlines()
    assert [("reviewed" in json.loads(line)["tags"]) for line in lines] == [False] * 4 + [True] * 4
    twice = await service.http.post(f"{BASE}/again/preference-set", json={"name": "twice", "add_to": "both"})
    assert twice.json()["rows"] == 8  # the same answers are there once
    other_way = {"name": "votes", "add_to": "both", "aggregate": True}
    votes = await service.http.post(f"{BASE}/again/preference-set", json=other_way)
    assert votes.json()["rows"] == 8  # also as one row a pair
    refused = await service.http.post(f"{BASE}/again/preference-set", json={"add_to": "review-run"})
    assert (refused.status_code, "name a human set" in refused.json()["detail"]) == (422, True)
    unnamed = await service.http.post(f"{BASE}/again/preference-set", json={"add_to": "nothing"})
    assert unnamed.status_code == 404


async def test_pairs_under_review_are_a_runs(service, made):
    refused = await service.http.post(BASE, json={"name": "x", "preference_set": "people", "pairs": "review"})
    assert refused.status_code == 422 and "name the run" in refused.text
    assert (await service.http.post(BASE, json={"name": "x", "run": "run_x", "pairs": "review"})).status_code == 404

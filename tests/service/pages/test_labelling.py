"""The labelling page without a browser: entering, forms, redirects, endings, errors."""

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.api.app import create_app
from service.api.state import Backend
from service.settings import Settings
from service.store.label_records import LabelProjectRecord, NewTask, TaskLabel
from tests.service.pages.label_seed import compare, invitation, law, rank, rewrite, seed

HTML = {"Accept": "text/html"}


@dataclass
class Labelling:
    """The application, and clients that keep cookies as a browser does."""

    app: object
    backend: Backend
    project_id: str

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=HTML, follow_redirects=True)

    async def entered(self, path: str) -> httpx.AsyncClient:
        client = self.client()
        assert (await client.post(path)).status_code == 200
        return client

    async def begun(self, tasks: list[NewTask], **fields: object) -> tuple[LabelProjectRecord, httpx.AsyncClient]:
        project, path = await seed(self.backend, self.project_id, tasks, **fields)
        return project, await self.entered(path)

    async def labels(self, project: LabelProjectRecord) -> list[TaskLabel]:
        return list(await self.backend.store.label_projects.labels_of(self.project_id, project.id, None, 100))


@pytest.fixture
async def labelling(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Labelling]:
    """On SQLite alone: what differs between databases is the store's to test."""
    shutil.copy(sqlite_template, tmp_path / "charter.sqlite")
    app = create_app(Settings(home=tmp_path))
    async with app.router.lifespan_context(app):
        backend = app.state.backend
        yield Labelling(app, backend, (await backend.store.access.ensure_project("default")).id)


def fields(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of the first task's form."""
    form = page.text[page.text.index('action="/label/answer"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)[:4])


async def test_a_stranger_is_told_on_a_page(labelling: Labelling):
    async with labelling.client() as client:
        for path in ("/label", "/label/next", "/label/waiting", "/label/told/ltk_1"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
            assert "open your invitation" in answer.text
        for path in ("/label/answer", "/label/undo", "/label/draft"):
            assert (await client.post(path, data={"task_id": "x", "choice": "tie"})).status_code == 401
        answer = await client.get("/label", headers={"HX-Request": "true"})
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_invitation_tells_what_is_stored_and_stores_nothing(labelling: Labelling):
    _, path = await seed(labelling.backend, labelling.project_id, [compare(1)])
    async with labelling.client() as client:
        page = await client.get(path)
        assert "Welcome, Ada" in page.text
        assert "What is stored of you" in page.text
        assert "Prefer what is <strong>true</strong>" in page.text
        assert not client.cookies
        begun = await client.post(path, follow_redirects=False)
        assert (begun.status_code, begun.headers["location"]) == (303, "/label")
        cookie = begun.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
        over_tls = await client.post(f"https://localhost{path}", follow_redirects=False)
        assert "Secure" in over_tls.headers["set-cookie"]
        elsewhere = await client.post(path, headers={"Origin": "https://evil.example"})
        assert elsewhere.status_code == 403 and "set-cookie" not in elsewhere.headers
        unknown = await client.get("/label/enter/nobody")
        assert unknown.status_code == 401
        assert "this invitation is unknown or was revoked; ask for a new one" in unknown.text


async def test_an_answer_is_taken_once_and_leads_to_the_next_task(labelling: Labelling):
    project, client = await labelling.begun([compare(1), compare(2)])
    page = await client.get("/label")
    assert "Question 1:" in page.text and "0 of 2" in page.text
    assert 'name="order"' not in page.text and "pair-1" not in page.text
    sent = {**fields(page), "choice": "first", "comment": "so"}
    answered = await client.post("/label/answer", data=sent, follow_redirects=False)
    assert (answered.status_code, answered.headers["location"]) == (303, "/label")
    page = await client.post("/label/answer", data=sent)
    assert "Question 2:" in page.text and "1 of 2" in page.text
    [label] = await labelling.labels(project)
    assert (label.choice, label.comment) == ("ab"[label.order[0]], "so")
    page = await client.post("/label/undo", data={"csrf": sent["csrf"]})
    assert "Question 1:" in page.text and 'data-say="Taken back. Task 1 of 2."' in page.text
    assert await labelling.labels(project) == []


async def test_another_answer_to_the_same_task_is_told_beside_the_first(labelling: Labelling):
    project, client = await labelling.begun([compare(1), rank(2)])
    sent = fields(await client.get("/label"))
    ranking = fields(await client.post("/label/answer", data={**sent, "choice": "first", "comment": "so"}))
    ranked = {**ranking, "choice": "ranked", "place": ["0:1", "1:2", "2:3"]}
    await client.post("/label/answer", data=ranked)
    both = await client.post("/label/answer", data={**sent, "choice": "tie", "comment": "<b>no</b>"})
    assert both.status_code == 409
    assert "<strong>Reply A is better</strong>" in both.text and "<strong>Equally good</strong>" in both.text
    assert "&lt;b&gt;no&lt;/b&gt;</div>" in both.text
    assert (await labelling.labels(project))[0].comment == "so"
    script = {"HX-Request": "true", "X-CSRF-Token": sent["csrf"]}
    refused = await client.post("/label/answer", data={**sent, "choice": "tie"}, headers=script)
    assert (refused.status_code, refused.json()["code"]) == (409, "answered_before")
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', both.text))
    done = await client.post("/label/answer", data={**hidden, "choice": "tie"})
    assert "All done" in done.text
    again = await client.post("/label/answer", data={**ranked, "place": ["0:3", "1:2", "2:1"]})
    assert "A before B before C" in again.text and "C before B before A" in again.text
    assert [label.choice for label in await labelling.labels(project)] == ["ranked", "tie"]


async def test_a_training_answer_is_told_and_not_changed(labelling: Labelling):
    project, client = await labelling.begun([compare(1, training=True, gold="a", reason="So."), compare(2)])
    sent = fields(await client.get("/label"))
    await client.post("/label/answer", data={**sent, "choice": "both_bad"})
    for instead in ("false", "true"):
        both = await client.post("/label/answer", data={**sent, "choice": "first", "instead": instead})
        assert both.status_code == 409 and "you were told the right one" in both.text
        assert "Take the new one" not in both.text
    assert [label.choice for label in await labelling.labels(project)] == ["both_bad"]


async def test_a_script_gets_the_next_tasks_as_a_piece(labelling: Labelling):
    _, client = await labelling.begun([compare(1), compare(2), compare(3)])
    sent = {**fields(await client.get("/label")), "choice": "skip"}
    headers = {"HX-Request": "true", "X-CSRF-Token": sent.pop("csrf")}
    saved = await client.post("/label/answer", data=sent, headers=headers)
    assert (saved.status_code, saved.text) == (204, "")
    piece = await client.get("/label/next", headers=headers)
    assert "<html" not in piece.text
    assert "Task 2 of 3." in piece.text and "1 skipped" in piece.text
    assert piece.text.count("<article") == 2
    assert "Question 2:" in piece.text and "Question 3:" in piece.text


async def test_a_form_of_another_site_is_refused(labelling: Labelling):
    project, client = await labelling.begun([compare(1)])
    sent = {**fields(await client.get("/label")), "choice": "first"}
    for token in ("", "0" * 64):
        refused = await client.post("/label/answer", data={**sent, "csrf": token})
        assert refused.status_code == 403
        assert "the form&#39;s token is not of this session" in refused.text
    assert await labelling.labels(project) == []


async def test_what_is_wrong_with_a_form_is_told_on_a_page(labelling: Labelling):
    _, client = await labelling.begun([rank(1)])
    sent = fields(await client.get("/label"))
    twice = await client.post("/label/answer", data={**sent, "choice": "ranked", "place": ["0:1", "1:1", "2:3"]})
    assert twice.status_code == 422
    assert "replies A and B both have place 1" in twice.text
    malformed = await client.post("/label/answer", data={**sent, "choice": "perhaps"})
    assert (malformed.status_code, malformed.headers["content-type"]) == (422, "text/html; charset=utf-8")
    unknown = await client.post("/label/answer", data={**sent, "task_id": "ltk_none", "choice": "skip"})
    assert unknown.status_code == 404
    assert (await client.get("/label/elsewhere")).status_code == 404


async def test_a_ranking_and_a_rewrite(labelling: Labelling):
    project, client = await labelling.begun([rank(1), rewrite(2)])
    sent = fields(await client.get("/label"))
    page = await client.post("/label/answer", data={**sent, "choice": "ranked", "place": ["0:3", "1:1", "2:2"]})
    assert "A poor reply 2." in page.text
    sent = fields(page)
    empty = await client.post("/label/answer", data={**sent, "choice": "rewritten", "rewrite": "  "})
    assert empty.status_code == 422
    same = await client.post("/label/answer", data={**sent, "choice": "rewritten", "rewrite": "A poor reply 2.\r\n"})
    assert same.status_code == 422 and "change it, or skip the task" in same.text
    done = await client.post("/label/answer", data={**sent, "choice": "rewritten", "rewrite": "Good.\r\nVery."})
    assert "All done" in done.text
    ranked, rewritten = await labelling.labels(project)
    assert ranked.ranking == (ranked.order[1], ranked.order[2], ranked.order[0])
    assert rewritten.rewrite == "Good.\nVery."


async def test_the_principle_is_in_view(labelling: Labelling):
    written = await law(labelling.backend, labelling.project_id)
    _, client = await labelling.begun([compare(1, principle_id="honest"), compare(2)], constitution_id=written.id)
    page = await client.get("/label")
    assert "The reply says nothing that is false" in page.text


async def test_a_project_without_a_guideline_has_its_constitutions(labelling: Labelling):
    written = await law(labelling.backend, labelling.project_id)
    made = {"constitution_id": written.id, "guideline": ""}
    _, overall = await labelling.begun([compare(1)], **made)
    _, path = await seed(labelling.backend, labelling.project_id, [compare(1)], **made)
    for page in (await overall.get("/label"), await overall.get(path)):
        assert "<strong>Say what is true</strong>" in page.text
        assert "<strong>Honest.</strong> The reply says nothing that is false" in page.text
        assert "Nobody has counted &lt;all&gt; of them." in page.text and "A guess is worse than none." in page.text
        assert "<strong>Short.</strong> The reply has at most fifty words." in page.text
    _, one = await labelling.begun([compare(1, principle_id="honest")], **made, principle_ids=("honest",))
    page = await one.get("/label")
    assert "<strong>Honest.</strong>" in page.text and "<strong>Short.</strong>" not in page.text
    _, own = await labelling.begun([compare(1)], constitution_id=written.id)
    page = await own.get("/label")
    assert "Prefer what is <strong>true</strong>" in page.text and "Say what is true" not in page.text
    assert "<strong>Honest.</strong>" in page.text
    _, none = await labelling.begun([compare(1)], guideline="")
    assert 'id="guideline"' not in (await none.get("/label")).text


async def test_training_tells_the_right_answer_with_its_reason(labelling: Labelling):
    training = compare(1, training=True, gold="b", reason="It is <short>.")
    project, client = await labelling.begun([training, compare(2)])
    page = await client.get("/label")
    told = await client.post("/label/answer", data={**fields(page), "choice": "first"})
    [label] = await labelling.labels(project)
    assert "You said: <strong>Reply A is better</strong>." in told.text
    assert "It is &lt;short&gt;." in told.text
    if label.order[0] == 1:
        assert "Right</h1>" in told.text
    else:
        assert "The right answer is: <strong>Reply B is better</strong>" in told.text
    assert (await client.get("/label/told/ltk_none")).status_code == 404


async def test_drafts_come_back(labelling: Labelling):
    _, client = await labelling.begun([rewrite(1)])
    sent = fields(await client.get("/label"))
    kept = await client.post("/label/draft", data={**sent, "rewrite": "Half a", "comment": "think <more>"})
    assert kept.status_code == 204
    page = await client.get("/label")
    assert "Half a</textarea>" in page.text and "think &lt;more&gt;</textarea>" in page.text


async def test_no_task_just_now_and_closed(labelling: Labelling):
    project, client = await labelling.begun([compare(1)])
    other = await labelling.entered(await invitation(labelling.backend, project, "Grace"))
    assert "Question 1:" in (await client.get("/label")).text
    assert "No task just now" in (await other.get("/label")).text
    assert (await other.get("/label/waiting")).status_code == 204
    sent = {**fields(await client.get("/label")), "choice": "tie"}
    assert "All done" in (await client.post("/label/answer", data=sent)).text
    assert "All tasks are answered" in (await other.get("/label/waiting")).text
    await client.post("/label/undo", data={"csrf": sent["csrf"]})
    await labelling.backend.store.label_projects.close(labelling.project_id, project.id)
    assert "is closed" in (await client.get("/label")).text
    assert "is closed; thank you" in (await client.post("/label/answer", data=sent)).text


async def test_hostile_replies_are_escaped(labelling: Labelling):
    hostile = "<script>alert(1)</script>\x00\u202e"
    _, client = await labelling.begun([compare(1, replies=(hostile, "x" * 30_000))])
    page = await client.get("/label")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\u2400" in page.text
    assert "alert(1)</script>" not in page.text
    assert "Show all: 10,000 more characters" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]

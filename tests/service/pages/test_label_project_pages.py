"""Label projects for those who run them: people invited and revoked, figures shown, a set made, a project closed."""

import asyncio
import html
import re

import httpx
import pytest

from service.labelling.projects import create_project
from service.labelling.schemas import LabelProjectRequest
from service.store.label_records import Answer
from tests.service.pages.conftest import Pages
from tests.service.pages.label_seed import compare, seed


def page_of(pages: Pages) -> str:
    return f"/ui/label-projects/{pages.seeded.label_project}"


async def token(person: httpx.AsyncClient) -> dict[str, str]:
    found = re.search(r'name="csrf" value="(\w+)"', (await person.get("/ui/label-projects")).text)
    assert found is not None
    return {"csrf": found[1]}


async def test_the_list_and_the_page_tell_how_far_people_are(pages: Pages) -> None:
    text = (await pages.person.get("/ui/label-projects")).text
    assert 'max="13" value="12"' in text and "12 of 13" in text and 'aria-current="page">Labelling' in text
    text = (await pages.person.get(page_of(pages))).text
    assert "12 of 13 tasks finished" in text and "<strong>Be kind.</strong>" in text and "short@2" in text
    assert re.findall(r'<th scope="row">(\w+) <span class="quiet">[^<]+</span></th><td class="number">(\d+)', text) == [
        ("flip", "12"),
        ("random", "1"),
    ]


async def test_the_quality_of_two_people_who_agree(pages: Pages) -> None:
    whole = (await pages.person.get(f"{page_of(pages)}/quality")).text
    assert "<dt>Agreement (Krippendorff&#39;s alpha)</dt><dd>1.00</dd>" in whole.replace("'", "&#39;")
    assert "<dd>too few: 0 gold answers, 10 are needed</dd>" in whole
    # Twelve of twelve as the other one did; the judge is for the first reply, people in six of twelve.
    assert whole.count('100.0 % <span class="quiet">76–100</span>') == 3
    assert '50.0 % <span class="quiet">25–75</span>' in whole
    assert "<summary>Each two people: 1</summary>" in whole and '<td class="number">1.00</td>' in whole
    part = (await pages.person.get(f"{page_of(pages)}/quality", headers={"HX-Request": "true"})).text
    assert "<html" not in part and "76–100" in part


async def test_an_invitation_is_shown_once_and_opens(pages: Pages) -> None:
    csrf = await token(pages.person)
    answer = await pages.person.post(f"{page_of(pages)}/invitations", data={**csrf, "name": "Cy"})
    assert answer.status_code == 200
    link = re.search(r'value="(http://localhost/label/enter/[^"]+)"', answer.text)
    assert link is not None
    async with pages.stranger() as stranger:
        assert "sky" in (await stranger.get(link[1])).text
        assert link[1] not in (await pages.person.get(page_of(pages))).text
        again = await pages.person.post(f"{page_of(pages)}/invitations", data={**csrf, "name": "Cy"})
        assert again.status_code == 409 and "is invited to this label project" in html.unescape(again.text)
        [cy] = [one for one in await annotators(pages) if one.name == "Cy"]
        revoked = await pages.person.post(f"{page_of(pages)}/annotators/{cy.id}/revoke", data=csrf)
        assert (revoked.status_code, revoked.headers["location"]) == (303, f"{page_of(pages)}#people")
        assert (await stranger.get(link[1])).status_code == 401
    for name in ("", "a\nb", "x" * 129):
        refused = await pages.person.post(f"{page_of(pages)}/invitations", data={**csrf, "name": name})
        assert refused.status_code == 422


async def form_of(pages: Pages) -> dict[str, str]:
    """What the page's forms have in hidden fields."""
    text = (await pages.person.get(page_of(pages))).text
    return dict(re.findall(r'<input type="hidden" name="(csrf|once)" value="([^"]+)"', text))


@pytest.mark.parametrize("what", ["preference-set", "prompt-set"])
async def test_a_double_click_makes_one_set(pages: Pages, what: str) -> None:
    sets = pages.backend.store.preference_sets if what == "preference-set" else pages.backend.store.prompt_sets
    path = f"{page_of(pages)}/{what}"
    before = len(await sets.list(pages.project))
    form = await form_of(pages) | {"name": "may"}
    first, second = await asyncio.gather(*(pages.person.post(path, data=form) for _ in "ab"))
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert len(await sets.list(pages.project)) == before + 1
    # The form changed, or the page loaded again, asks for another.
    for asked in (form | {"name": "june"}, await form_of(pages) | {"name": "may"}):
        other = await pages.person.post(path, data=asked)
        assert other.status_code == 303 and other.headers["location"] != first.headers["location"]
    assert len(await sets.list(pages.project)) == before + 3
    # What was refused was not made: the form may be sent again.
    refused = [await pages.person.post(path, data=form | {"name": "/"}) for _ in "ab"]
    assert {answer.status_code for answer in refused} == {422}


async def test_a_double_click_invites_once_and_shows_the_link(pages: Pages) -> None:
    path = f"{page_of(pages)}/invitations"
    form = await form_of(pages) | {"name": "Cy"}

    async def link(**changed: str) -> str:
        answer = await pages.person.post(path, data=form | changed)
        assert answer.status_code == 200
        return re.findall(r'value="http://localhost(/label/enter/[^"]+)"', answer.text)[0]

    first, second = await asyncio.gather(link(), link())
    assert first == second
    assert [one.name for one in await annotators(pages)].count("Cy") == 1
    assert await link(name="Di") != first
    async with pages.stranger() as stranger, pages.signed_in("read", "write") as other:
        assert "sky" in (await stranger.get(first)).text
        # The form's field is no secret: another session cannot make the link of it.
        forged = await other.post(path, data=form | await token(other))
        assert forged.status_code == 409 and first not in forged.text
    [cy] = [one for one in await annotators(pages) if one.name == "Cy"]
    await pages.backend.store.label_projects.revoke(pages.project, pages.seeded.label_project, cy.id)
    late = await pages.person.post(path, data=form)
    assert late.status_code == 409 and "load the page again" in late.text
    assert await link(**await form_of(pages)) != first


async def annotators(pages: Pages):
    return await pages.backend.store.label_projects.annotators(pages.project, pages.seeded.label_project)


async def test_answers_become_a_set_and_the_project_is_closed(pages: Pages) -> None:
    csrf = await token(pages.person)
    asked = {**csrf, "name": "sky labels", "weights": "measured", "aggregate": "true"}
    made = await pages.person.post(f"{page_of(pages)}/preference-set", data=asked)
    assert made.status_code == 303
    shown = await pages.person.get(made.headers["location"])
    assert "<h1>sky labels</h1>" in shown.text and "<dt>Pairs</dt><dd>12</dd>" in shown.text
    assert (await pages.person.post(f"{page_of(pages)}/preference-set", data={**csrf, "name": "/"})).status_code == 422
    assert (await pages.person.post(f"{page_of(pages)}/close", data=csrf)).status_code == 303
    closed = (await pages.person.get(page_of(pages))).text
    assert 'class="badge closed"' in closed and "Take no more answers" not in closed and ">Invite<" not in closed


async def test_prompts_that_somebody_found_bad_become_a_prompt_set(pages: Pages) -> None:
    csrf = await token(pages.person)
    text = (await pages.person.get(page_of(pages))).text
    assert "Somebody found all replies to 1 prompt bad." in text and 'value="sky to revise"' in text
    path = f"{page_of(pages)}/prompt-set"
    assert (await pages.person.post(path, data={**csrf, "name": "/"})).status_code == 422
    answer = await pages.person.post(path, data={**csrf, "name": "weak"})
    shown = (await pages.person.get(answer.headers["location"])).text
    made = await pages.backend.store.prompt_sets.get(pages.project, "weak")
    assert f"<strong>weak</strong> (<code>{made.id}</code>) has 1 prompt to train on" in shown
    assert (made.train, made.held_out) == (1, 0)
    project, _ = await seed(pages.backend, pages.project, [compare(0)])
    assert "Make a prompt set" not in (await pages.person.get(f"/ui/label-projects/{project.id}")).text
    refused = await pages.person.post(f"/ui/label-projects/{project.id}/prompt-set", data={**csrf, "name": "weak"})
    assert refused.status_code == 422 and "nobody has said in label project" in refused.text


async def test_the_rest_is_routed_again(pages: Pages) -> None:
    assert "Route again" not in (await pages.person.get(page_of(pages))).text  # it was not routed
    csrf = await token(pages.person)
    refused = await pages.person.post(f"{page_of(pages)}/route", data=csrf)
    assert refused.status_code == 409 and "make one to compare or rank" in html.unescape(refused.text)
    store, artifacts = pages.backend.store, pages.backend.artifacts
    routing = {"policy": "uncertain", "budget_labels": 2, "random_share": 0.5}
    asked = {"name": "routed", "preference_set": pages.seeded.preference_set, "routing": routing}
    made = await create_project(store, artifacts, pages.project, LabelProjectRequest.model_validate(asked))
    person, _ = await store.label_projects.invite(pages.project, made.id, "Ada")
    [task] = await store.label_projects.next_tasks(person.id, 1)
    await store.label_projects.submit(person.id, task.id, Answer("first"))
    path = f"/ui/label-projects/{made.id}"
    shown = (await pages.person.get(path)).text
    assert "Route again" in shown and f'<a href="/ui/preference-sets/{pages.seeded.preference_set}">mixed</a>' in shown
    everything = LabelProjectRequest.model_validate(asked | {"routing": {"policy": "uncertain", "budget_labels": 99}})
    whole = await create_project(store, artifacts, pages.project, everything)
    assert "Route again" not in (await pages.person.get(f"/ui/label-projects/{whole.id}")).text
    done = (await pages.person.post(f"{path}/route", data=csrf)).text
    assert "By 1 labelled pairs of the random part, 1 tasks that nobody had seen made way for 1 others." in done


async def test_a_training_round_is_told_of_each_person(pages: Pages) -> None:
    store = pages.backend.store
    rounds = [compare(number, routed_by="training", training=True, gold="a") for number in range(3)]
    project, _ = await seed(pages.backend, pages.project, [*rounds, compare(9)])
    [ada] = await store.label_projects.annotators(pages.project, project.id)
    for right in (True, False, True):
        [task] = await store.label_projects.next_tasks(ada.id, 1)
        await store.label_projects.submit(
            ada.id, task.id, Answer("first" if (task.order[0] == 0) == right else "second")
        )
    told = (await pages.person.get(f"/ui/label-projects/{project.id}/quality")).text
    assert '<th scope="row" dir="auto">Ada</th>\n    <td class="number">2 of 3</td>' in told


async def test_comments_stand_beside_their_tasks(pages: Pages) -> None:
    store = pages.backend.store
    project, _ = await seed(pages.backend, pages.project, [compare(number) for number in range(23)])
    path = f"/ui/label-projects/{project.id}/comments"
    assert "Nobody has written a comment" in (await pages.person.get(path)).text
    [ada] = await store.label_projects.annotators(pages.project, project.id)
    for number in range(23):
        [task] = await store.label_projects.next_tasks(ada.id, 1)
        said = "" if number == 0 else f"Why <{number}>"
        await store.label_projects.submit(ada.id, task.id, Answer("second" if number < 22 else "skip", said))
    part = (await pages.person.get(path, headers={"HX-Request": "true"})).text
    shown = re.findall(r"Why &lt;(\d+)&gt;", part)
    assert shown == [str(number) for number in range(22, 2, -1)] and "<html" not in part
    assert "Skipped" in part and "Reply B is better" in part and "Second reply" in part
    [older] = re.findall(r'href="([^"]+before=[^"]+)"', part)
    rest = (await pages.person.get(older)).text
    assert re.findall(r"Why &lt;(\d+)&gt;", rest) == ["2", "1"] and ">Ada<" in rest and "Newest" in rest
    assert f'hx-get="{path}"' in (await pages.person.get(f"/ui/label-projects/{project.id}")).text
    async with pages.stranger() as stranger:
        assert (await stranger.get(path)).status_code == 303


async def test_who_may_only_read_is_offered_nothing_to_change(pages: Pages) -> None:
    async with pages.signed_in("read") as reader:
        text = (await reader.get(page_of(pages))).text
        assert [
            one
            for one in (">Invite<", ">Revoke<span", "Make a preference set", "Make a prompt set", "Close this")
            if one in text
        ] == []
        csrf = await token(reader)
        for path in ("invitations", "annotators/ann_x/revoke", "route", "preference-set", "prompt-set", "close"):
            answer = await reader.post(f"{page_of(pages)}/{path}", data={**csrf, "name": "x"})
            assert answer.status_code == 403, path
    for path in ("invitations", "annotators/ann_x/revoke", "route", "preference-set", "prompt-set", "close"):
        forged = await pages.person.post(f"{page_of(pages)}/{path}", data={"csrf": "0" * 64, "name": "x"})
        assert forged.status_code == 403, path


async def test_the_page_words_what_is_asked_by_its_kind(pages: Pages) -> None:
    store, artifacts = pages.backend.store, pages.backend.artifacts
    asked = {"preference_set": pages.seeded.preference_set}
    for kind, words in [
        ("compare", "which reply is better overall"),
        ("rank", "to rank the replies, best first"),
        ("rewrite", "to write the weaker reply better"),
    ]:
        request = LabelProjectRequest.model_validate(asked | {"name": kind, "kind": kind})
        made = await create_project(store, artifacts, pages.project, request)
        text = (await pages.person.get(f"/ui/label-projects/{made.id}")).text
        assert f"<dt>Asked</dt><dd>{words}</dd>" in text

"""Who sees the pages, and who may change something there: the stranger first."""

import re

import httpx
import pytest

from service.api.csrf import csrf_token
from service.api.sessions import COOKIE, SESSION_S, Sessions, session_secret
from service.errors import NotAllowed
from service.pages.sign_in import local_page
from tests.service.pages.conftest import Pages


def token(client: httpx.AsyncClient) -> str:
    return csrf_token(client.cookies[COOKIE])


async def test_a_stranger_is_sent_to_the_sign_in(pages: Pages) -> None:
    async with pages.stranger() as stranger:
        for page in (*pages.seeded.pages, "/ui/nothing", f"/ui/runs/{pages.seeded.living_run}/events"):
            answer = await stranger.get(page)
            assert answer.status_code == 303, page
            assert answer.headers["location"].startswith("/ui/login?next=%2Fui%2F")
        for action in ("cancel", "resume"):
            answer = await stranger.post(f"/ui/runs/{pages.seeded.living_run}/{action}")
            assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login?next=")
        answer = await stranger.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/runs")
        assert (await stranger.get("/static/style.css")).status_code == 200
        assert (await stranger.get("/static/../layout.py")).status_code in (303, 401, 404)
    assert (await pages.backend.store.runs.get_any(pages.seeded.living_run)).status == "running"


async def test_signing_in_leads_back_to_the_page(pages: Pages) -> None:
    async with pages.stranger() as person:
        asked = await person.get("/ui/constitutions?before=con_x")
        form = await person.get(asked.headers["location"])
        assert 'value="/ui/constitutions?before=con_x"' in form.text
        answer = await person.post(
            "/ui/login", data={"key": f" {await pages.key('read')} ", "next": "/ui/constitutions?before=con_x"}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/constitutions?before=con_x")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower() and "Secure" not in cookie
        assert "ck_" not in cookie
        assert (await person.get("/ui/runs")).status_code == 200


async def test_under_https_the_cookie_is_secure(pages: Pages) -> None:
    async with pages.stranger() as person:
        answer = await person.post("https://localhost/ui/login", data={"key": await pages.key("read")})
        assert "Secure" in answer.headers["set-cookie"]


async def test_a_wrong_key_is_told_so(pages: Pages) -> None:
    async with pages.stranger() as liar:
        answer = await liar.post("/ui/login", data={"key": "ck_<script>"})
        assert answer.status_code == 401 and "unknown or revoked" in answer.text
        assert "set-cookie" not in answer.headers and "<script>" not in answer.text.replace("<script src", "")


async def test_another_site_cannot_sign_a_visitor_in(pages: Pages) -> None:
    async with pages.stranger() as visitor:
        secret = await pages.key("read")
        answer = await visitor.post("/ui/login", data={"key": secret}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403 and "set-cookie" not in answer.headers


async def test_the_cookie_opens_pages_and_not_the_api(pages: Pages) -> None:
    assert (await pages.person.get("/v1/runs")).status_code == 401
    secret = await pages.key("read")
    async with pages.stranger() as program:
        answer = await program.get("/ui/runs", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 303


async def test_a_revoked_key_ends_the_session(pages: Pages) -> None:
    made = await pages.backend.store.access.create_key(pages.project, "gone", ("read",))
    async with pages.with_key(made.secret) as person:
        assert (await person.get("/ui/runs")).status_code == 200
        await pages.backend.store.access.revoke_key(pages.project, made.record.id)
        assert (await person.get("/ui/runs")).status_code == 303


async def test_a_reader_sees_no_button_and_may_not_press_one(pages: Pages) -> None:
    run = f"/ui/runs/{pages.seeded.living_run}"
    async with pages.signed_in("read") as reader:
        assert "Cancel this run" not in (await reader.get(run)).text
        answer = await reader.post(f"{run}/cancel", data={"csrf": token(reader)})
        assert answer.status_code == 403 and answer.headers["content-type"].startswith("text/html")
    assert (await pages.backend.store.runs.get_any(pages.seeded.living_run)).status == "running"


async def test_a_form_without_the_sessions_token_is_refused(pages: Pages) -> None:
    run = f"/ui/runs/{pages.seeded.living_run}"
    async with pages.signed_in("read", "write") as other:
        for data in ({}, {"csrf": "x"}, {"csrf": token(other)}):
            assert (await pages.person.post(f"{run}/cancel", data=data)).status_code == 403
        assert (await pages.person.post("/ui/logout")).status_code == 403
    shown = re.search(r'name="csrf" value="(\w+)"', (await pages.person.get(run)).text)
    assert shown is not None and shown[1] == token(pages.person)
    answer = await pages.person.post(f"{run}/cancel", data={"csrf": shown[1]})
    assert (answer.status_code, answer.headers["location"]) == (303, run)
    assert (await pages.backend.store.runs.get_any(pages.seeded.living_run)).status == "cancelling"


async def test_signing_out_drops_the_cookie(pages: Pages) -> None:
    answer = await pages.person.post("/ui/logout", headers={"X-CSRF-Token": token(pages.person)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login")
    assert (await pages.person.get("/ui/runs")).status_code == 303


def test_a_session_is_signed_and_ends() -> None:
    sessions = Sessions(b"secret")
    cookie = sessions.cookie("key_1", 1000)
    assert sessions.key_id(cookie, now=999.9) == "key_1"
    with pytest.raises(NotAllowed, match="over"):
        sessions.key_id(cookie, now=1000)
    for forged in ("", "..", cookie.replace("key_1", "key_2"), cookie.replace("1000", "9999"), cookie[:-1], "é.1.x"):
        with pytest.raises(NotAllowed, match="not signed in"):
            sessions.key_id(forged, now=0)
    with pytest.raises(NotAllowed):
        Sessions(b"another").key_id(cookie, now=0)
    assert SESSION_S == 86400


def test_the_secret_is_made_once_for_this_user_only(tmp_path) -> None:
    file = tmp_path / "session-secret"
    made = session_secret(file)
    assert len(made) == 32 and session_secret(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["session-secret"]


@pytest.mark.parametrize(
    "asked", ["https://evil.example", "//evil.example", "/\\evil.example", "/v1/runs", "", "/ui/logout", "javascript:x"]
)
def test_nobody_is_led_away(asked: str) -> None:
    assert local_page(asked) == "/ui/runs"

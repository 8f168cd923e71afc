"""Who may do what: the stranger first."""

import re

from service.api.guard import PUBLIC
from service.api.problems import PROBLEM_TYPE
from tests.service.api.conftest import CONSTITUTION, Service


def routes(service: Service) -> list[tuple[str, str]]:
    paths = service.app.openapi()["paths"]
    return [(method.upper(), re.sub(r"{\w+}", "x", path)) for path, methods in paths.items() for method in methods]


async def test_a_stranger_without_a_key_is_refused_on_every_route(service: Service) -> None:
    assert len(routes(service)) > 30
    async with service.client(None) as stranger, service.client("ck_wrong") as liar:
        for method, path in routes(service):
            for client in (stranger, liar):
                answer = await client.request(method, path)
                assert (answer.status_code == 200) if path in PUBLIC else (answer.status_code == 401), path
                if path not in PUBLIC:
                    assert answer.headers["content-type"] == PROBLEM_TYPE


async def test_another_project_sees_nothing(service: Service) -> None:
    made = (await service.http.post("/v1/constitutions", content=CONSTITUTION)).json()
    async with service.client(await service.key(("read", "write", "admin"), "other")) as other:
        assert (await other.get(f"/v1/constitutions/{made['id']}")).status_code == 404
        assert (await other.get("/v1/constitutions/short")).status_code == 404
        assert (await other.delete(f"/v1/constitutions/{made['id']}")).status_code == 404
        assert (await other.get("/v1/constitutions")).json()["data"] == []


async def test_scopes(service: Service) -> None:
    async with service.client(await service.key(("read",))) as reader:
        assert (await reader.get("/v1/constitutions")).status_code == 200
        assert (await reader.post("/v1/constitutions", content=CONSTITUTION)).status_code == 403
    async with service.client(await service.key(("read", "write"))) as writer:
        assert (await writer.post("/v1/models", json={"name": "m", "url": "http://x"})).status_code == 403
        assert (await writer.post("/v1/keys", json={"name": "k", "scopes": ["admin"]})).status_code == 403


async def test_a_revoked_key_opens_nothing(service: Service) -> None:
    made = (await service.http.post("/v1/keys", json={"name": "ci", "scopes": ["read"]})).json()
    async with service.client(made["secret"]) as ci:
        assert (await ci.get("/v1/runs")).status_code == 200
        await service.http.delete(f"/v1/keys/{made['id']}")
        assert (await ci.get("/v1/runs")).status_code == 401
    assert made["secret"] not in (await service.http.get("/v1/keys")).text


async def test_of_two_keys_named_alike_each_is_revoked_once(service: Service) -> None:
    new = {"name": "ci", "scopes": ["read"]}
    older, newer = [(await service.http.post("/v1/keys", json=new)).json() for _ in range(2)]
    async with service.client(older["secret"]) as old, service.client(newer["secret"]) as young:
        for opens in ((200, 401), (401, 401)):
            assert (await service.http.delete("/v1/keys/ci")).status_code == 200
            assert tuple([(await ci.get("/v1/runs")).status_code for ci in (old, young)]) == opens
    assert (await service.http.delete("/v1/keys/ci")).status_code == 404  # no more is said to be gone than was
    shown = {one["id"]: one["revoked_at"] for one in (await service.http.get("/v1/keys")).json()["data"]}
    assert shown.pop(newer["id"]) <= shown.pop(older["id"])
    assert set(shown.values()) == {None}  # the key that asks


async def test_a_key_is_revoked_when_it_was_first_revoked(service: Service) -> None:
    made = (await service.http.post("/v1/keys", json={"name": "ci", "scopes": ["read"]})).json()
    times = set()
    for _ in range(2):
        assert (await service.http.delete(f"/v1/keys/{made['id']}")).status_code == 200
        keys = (await service.http.get("/v1/keys")).json()["data"]
        times.add(next(one["revoked_at"] for one in keys if one["id"] == made["id"]))
    assert len(times) == 1 and None not in times


async def test_a_foreign_host_name_is_refused(service: Service) -> None:
    answer = await service.http.get("/healthz", headers={"Host": "evil.example"})
    assert answer.status_code == 400 and "CHARTER_ALLOWED_HOSTS" in answer.json()["detail"]


async def test_errors_have_one_shape(service: Service) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/constitutions", 405),
        ("GET", "/v1/runs/run_x", 404),
        ("POST", "/v1/runs", 422),
        ("GET", "/v1/runs?limit=1000", 422),
    ):
        answer = await service.http.request(method, path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"] == PROBLEM_TYPE
        assert set(answer.json()) == {"type", "title", "status", "detail", "instance", "code", "errors"}
        assert answer.json()["instance"] == path.split("?")[0]


async def test_too_many_requests_are_told_to_wait(tmp_path) -> None:
    from service.api.app import create_app
    from service.settings import Settings

    app = create_app(Settings(home=tmp_path / "slow", requests_per_minute=2))
    async with app.router.lifespan_context(app):
        store = app.state.backend.store
        project = await store.access.ensure_project("default")
        key = (await store.access.create_key(project.id, "k", ("read",))).secret
        async with Service(None, store, project.id, app).client(key) as http:
            answers = [await http.get("/v1/runs") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 0

"""Odd and hostile requests: each is refused in the one shape of errors, none is a fault of the service."""

import json
from pathlib import Path

import pytest

from service.api.problems import PROBLEM_TYPE
from tests.service.api.conftest import CONSTITUTION, PROMPTS, Service

LABEL = {"annotator": "ann_1", "prompt": "Why?", "a": "Hm.", "b": "Because.", "choice": "b"}
HUGE = "9" * 30


async def in_pieces(data: bytes):
    """Without a Content-Length, as a client that streams sends it."""
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


async def test_a_long_body_without_a_length_is_refused_whole(service: Service) -> None:
    # Cut off at the end of a line it would be a valid, shorter file.
    data = (json.dumps({"prompt": "x" * 900}) + "\n").encode() * 3000
    for path in ("/v1/prompt-sets", "/v1/constitutions", "/v1/labels"):
        answer = await service.http.post(path, content=in_pieces(data))
        assert answer.status_code == 413, (path, answer.text)
        assert answer.headers["content-type"] == PROBLEM_TYPE
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="p.jsonl"\r\n\r\n' + data + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await service.http.post("/v1/prompt-sets", content=in_pieces(form), headers=headers)).status_code == 413
    assert (await service.http.get("/v1/prompt-sets")).json()["data"] == []


async def test_a_body_in_pieces_within_the_limit_is_read(service: Service) -> None:
    answer = await service.http.post("/v1/prompt-sets", content=in_pieces(PROMPTS.encode()))
    assert answer.status_code == 201


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:8080"])
async def test_loopback_by_any_name(service: Service, host: str) -> None:
    assert (await service.http.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:8080", "[::2]", ""])
async def test_other_hosts_are_refused(service: Service, host: str) -> None:
    assert (await service.http.get("/v1/runs", headers={"Host": host})).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/constitutions/%00",
        "/v1/constitutions/a%00b/diff/c",
        "/v1/runs/%00/events",
        "/v1/runs?after=%00",
        "/v1/runs/..%2f..%2fetc%2fpasswd",
        "/v1/adapters/..%2f..%2fkey/download",
        "/v1/adapters/" + "x" * 3000,
        "/v1/models/%F0%9F%99%82",
        "/v1/preference-sets/none/rows?after=%00",
        "/v1/runs/x/events?after=" + HUGE,
        "/v1/runs/x/samples?after=" + HUGE,
        "/v1/runs?limit=" + HUGE,
    ],
)
async def test_odd_paths_are_refused(service: Service, path: str) -> None:
    answer = await service.http.get(path)
    assert answer.status_code in (200, 404, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["data"] == []
    else:
        assert answer.headers["content-type"] == PROBLEM_TYPE


@pytest.mark.parametrize("number", ["\u00b2", HUGE, "-1", "x", "1.5"])
async def test_an_odd_last_event_id_is_no_fault(service: Service, tmp_path: Path, number: str) -> None:
    id = (await service.http.post("/v1/runs", json=await service.run_body(tmp_path / "m"))).json()["id"]
    answer = await service.http.get(f"/v1/runs/{id}/events", headers={"Last-Event-ID": number.encode()})
    assert answer.status_code in (200, 422), answer.text


@pytest.mark.parametrize("field", ["prompt", "a", "b", "comment", "principle_id", "annotator"])
@pytest.mark.parametrize("text", ["nul \u0000 in it", "half a pair \ud800"])
async def test_texts_that_no_database_takes(service: Service, field: str, text: str) -> None:
    body = json.dumps(LABEL | {field: text}).encode()
    answer = await service.http.post("/v1/labels", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert any(error.startswith(field) for error in answer.json()["errors"])


@pytest.mark.parametrize("field", ["path", "url", "served_name", "licence"])
async def test_models_with_odd_texts(service: Service, field: str) -> None:
    body = {"name": "m", "url": "https://judge.example"} | {field: "http://judge.example/\u0000"}
    assert (await service.http.post("/v1/models", json=body)).status_code == 422
    long = {"name": "m", "url": "https://judge.example"} | {field: "http://judge.example/" + "x" * 5000}
    assert (await service.http.post("/v1/models", json=long)).status_code == 422


async def test_a_deep_or_broken_body_is_no_fault(service: Service) -> None:
    for body in ("[" * 100_000, "{", '{"seed": ' + "9" * 5000 + "}", "null", '"text"', "\ufeff{}"):
        headers = {"Content-Type": "application/json"}
        for path in ("/v1/runs", "/v1/labels", "/v1/constitutions", "/v1/preference-sets"):
            answer = await service.http.post(path, content=body.encode(), headers=headers)
            assert answer.status_code in (400, 422), (path, body[:20], answer.text)
            assert answer.headers["content-type"] == PROBLEM_TYPE


async def test_a_constitution_with_escaped_odd_characters(service: Service) -> None:
    law = {"name": "odd", "principles": [{"id": "p", "kind": "judged", "text": "nul \u0000 here"}]}
    answer = await service.http.post("/v1/constitutions", json=law)
    assert answer.status_code in (201, 422)
    surrogate = json.dumps(law).replace("\\u0000", "\\ud800")
    assert (await service.http.post("/v1/constitutions", content=surrogate)).status_code in (201, 422)


async def test_a_form_names_its_set(service: Service) -> None:
    made = await service.http.post(
        "/v1/prompt-sets", files={"file": ("morning.jsonl", PROMPTS)}, data={"name": "evening"}
    )
    assert (made.status_code, made.json()["name"]) == (201, "evening")
    plain = await service.http.post("/v1/prompt-sets", files={"file": ("../morning.jsonl", PROMPTS)})
    assert plain.json()["name"] == "morning"
    for fields, said in (({"name": "../x"}, "no path"), ({"nmae": "x"}, "nmae")):
        answer = await service.http.post("/v1/prompt-sets", files={"file": ("p.jsonl", PROMPTS)}, data=fields)
        assert answer.status_code == 422 and said in answer.json()["detail"]
    empty = await service.http.post("/v1/prompt-sets", data={"name": "x"}, files={"other": ("", b"")})
    assert empty.status_code == 422


async def test_a_form_names_its_format(service: Service) -> None:
    pair = json.dumps({"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."})
    made = await service.http.post(
        "/v1/preference-sets", files={"file": ("p.jsonl", pair)}, data={"name": "people", "format": "trl"}
    )
    assert made.status_code == 201, made.text
    wrong = await service.http.post("/v1/preference-sets", files={"file": ("p.jsonl", pair)}, data={"format": "csv"})
    assert wrong.status_code == 422 and "hh-rlhf" in wrong.json()["detail"]


async def test_a_constitution_in_a_form(service: Service) -> None:
    made = await service.http.post("/v1/constitutions", files={"file": ("law.yaml", CONSTITUTION)})
    assert made.status_code == 201


async def test_an_unknown_cursor_does_not_start_again(service: Service) -> None:
    pair = json.dumps({"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."})
    id = (await service.http.post("/v1/preference-sets", content=pair)).json()["id"]
    row = (await service.http.get(f"/v1/preference-sets/{id}/rows")).json()["data"][0]["id"]
    assert (await service.http.get(f"/v1/preference-sets/{id}/rows?after={row}")).json()["data"] == []
    assert (await service.http.get(f"/v1/preference-sets/{id}/rows?after=nothing")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/constitutions", {"GET", "POST"}),
        ("POST", "/v1/constitutions/x", {"GET", "DELETE"}),
        ("GET", "/v1/runs/x/cancel", {"POST"}),
        ("POST", "/v1/runs/x/samples", {"GET"}),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(service: Service, method: str, path: str, allowed: set) -> None:
    answer = await service.http.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed


async def test_a_wrong_path_below_a_run_is_not_there(service: Service) -> None:
    assert (await service.http.get("/v1/runs/x/weights")).status_code == 404

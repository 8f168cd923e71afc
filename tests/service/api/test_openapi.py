"""The description of the API: an example for every body, the key it needs, and tidy names."""

import re

import pytest

from service.api.guard import PUBLIC
from service.api.problems import STATUSES
from service.schemas import RunRequest
from tests.service.api.conftest import Service


@pytest.fixture
async def spec(service: Service) -> dict:
    return (await service.http.get("/openapi.json")).json()


def operations(spec: dict):
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_body_has_an_example(spec: dict) -> None:
    bare = []
    for path, method, operation in operations(spec):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            schema = content["schema"]
            named = spec["components"]["schemas"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
            binary = named.get("format") == "binary" or kind == "multipart/form-data"
            if not binary and not ("example" in content or named.get("examples")):
                bare.append((path, method, kind))
    assert bare == []


def test_names_are_tidy_and_differ(spec: dict) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(spec)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", id) for id in ids)


def test_the_key_is_declared(spec: dict) -> None:
    assert spec["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    for path, method, operation in operations(spec):
        needed = operation.get("security", spec["security"])
        assert needed == ([] if path in PUBLIC else [{"key": []}]), (path, method)


def test_every_post_may_be_repeated(spec: dict) -> None:
    for path, method, operation in operations(spec):
        names = [parameter["name"] for parameter in operation.get("parameters", [])]
        assert ("Idempotency-Key" in names) == (method == "post"), (path, method)


def test_errors_are_declared_in_their_type(spec: dict) -> None:
    for path, method, operation in operations(spec):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}, (path, method, status)


def test_every_status_that_the_code_answers_is_declared(spec: dict) -> None:
    declared = {status for _, _, operation in operations(spec) for status in operation["responses"]}
    assert {str(status.value) for _, status in STATUSES} <= declared


def test_the_example_of_a_run_is_a_run(spec: dict) -> None:
    (example,) = spec["components"]["schemas"]["RunRequest"]["examples"]
    assert RunRequest.model_validate(example).constitution == example["constitution"]


async def test_the_docs_page_asks_no_other_host_for_its_scripts(service: Service) -> None:
    page = (await service.http.get("/docs", headers={"Authorization": ""})).text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(parts) == 3 and "://" not in page.replace("window.location", "")
    for part in parts:
        answer = await service.http.get(part, headers={"Authorization": ""})
        assert answer.status_code == 200 and answer.content, part


@pytest.mark.parametrize("path", ["/docs/files/../../v1/keys", "/docs/files/%2e%2e/core.py", "/docs/files/none.js"])
async def test_beside_the_docs_own_files_there_is_nothing_without_a_key(path: str, service: Service) -> None:
    answer = await service.http.get(path, headers={"Authorization": ""})
    assert answer.status_code in (401, 404) and "/docs" not in answer.headers.get("location", "")

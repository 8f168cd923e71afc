"""POST /v1/constitutions/{id}/qualify: a judge by URL is examined in one bounded request."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schemas import MOST_PAIRS
from tests.service.api.conftest import Service
from tests.service.serving import asked, free_port, judge_by_url

SHORT, LONG = "In the fridge.", "There are a great many sides to that question, as one may well imagine."
EXAMPLE = f'      - {{{{prompt: "Where do {{0}} pears go?", better: "{SHORT}", worse: "{LONG}"}}}}'


def a_law(examples: int) -> str:
    shown = "\n".join(EXAMPLE.format(n).replace("{{", "{").replace("}}", "}") for n in range(examples))
    head = "name: pears\nprinciples:\n  - {id: short, kind: checked, text: Short., check: {max_words: 8}}\n"
    return f"{head}  - id: brief\n    kind: judged\n    text: Be brief.\n" + (
        f"    examples:\n{shown}\n" if shown else ""
    )


def people(count: int) -> str:
    """The longer reply was chosen, so a judge that likes short ones is always wrong."""
    rows = [{"prompt": f"Why {n}?", "chosen": LONG, "rejected": SHORT} for n in range(count)]
    return "\n".join(map(json.dumps, rows))


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    found = free_port()
    with judge_by_url(tmp_path, found, taste="shorter"):
        yield found


async def prepared(service: Service, port: int, examples: int = 20) -> None:
    await service.http.post("/v1/constitutions", content=a_law(examples))
    new = {"name": "judge", "url": f"http://127.0.0.1:{port}/v1", "served_name": "far"}
    assert (await service.http.post("/v1/models", json=new)).status_code == 201


async def test_a_judge_by_url_is_examined_on_examples_and_on_peoples_pairs(service: Service, port: int) -> None:
    await prepared(service, port)
    assert (await service.http.post("/v1/preference-sets?name=people", content=people(25))).status_code == 201
    body = {"judge": "judge", "set": "people", "limit": 21}
    answer = await service.http.post("/v1/constitutions/pears/qualify", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["judge"], found["constitution"]) == ("far", "pears")
    told = [
        (one["principle_id"], one["slice"], one["verdict"], one["weighs"], one["examples"]) for one in found["slices"]
    ]
    assert told == [
        ("short", "examples", "trusted", True, 0),
        ("brief", "examples", "trusted", True, 20),
        ("brief", "set people", "harmful", None, 21),
    ]
    assert found["slices"][2]["measures"]["longest_wins"] == {"value": 1.0, "reason": ""}
    assert await asked(port) == {"probe": 2, "compare": 2 * (20 + 21)}


async def test_more_than_one_request_may_ask_for_is_refused_before_anything_is_asked(
    service: Service, port: int
) -> None:
    await prepared(service, port)
    await service.http.post("/v1/preference-sets?name=people", content=people(MOST_PAIRS))
    body = {"judge": "judge", "set": "people"}
    answer = await service.http.post("/v1/constitutions/pears/qualify", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(
        "220 pairs are to be judged, and one request may ask for 200; lower `limit`"
    )
    over = await service.http.post("/v1/constitutions/pears/qualify", json=body | {"limit": MOST_PAIRS + 1})
    assert over.status_code == 422
    assert await asked(port) == {}


async def test_what_cannot_be_examined_says_why(service: Service, port: int, tmp_path: Path) -> None:
    await prepared(service, port, examples=1)
    await service.model(tmp_path / "m")
    url = "/v1/constitutions/pears/qualify"
    folder = await service.http.post(url, json={"judge": "base"})
    assert folder.status_code == 422 and "is a folder, which is served inside runs only" in folder.json()["detail"]
    protocol = await service.http.post(url, json={"judge": "judge", "protocol": "coin-toss"})
    assert protocol.status_code == 422 and "there is no 'coin-toss'" in protocol.json()["detail"]
    principle = await service.http.post(url, json={"judge": "judge", "principle": "short"})
    assert principle.status_code == 422
    assert principle.json()["detail"] == "'short' is no judged principle of 'pears'; it has brief"
    for body in ({"judge": "nobody"}, {"judge": "judge", "set": "none"}):
        assert (await service.http.post(url, json=body)).status_code == 404
    assert (await service.http.post("/v1/constitutions/none/qualify", json={"judge": "judge"})).status_code == 404
    gone = {"name": "gone", "url": f"http://127.0.0.1:{free_port()}", "served_name": "gone"}
    await service.http.post("/v1/models", json=gone)
    down = await service.http.post(url, json={"judge": "gone"})
    assert down.status_code == 503, down.text


async def test_another_project_may_not_use_the_judge(service: Service, port: int) -> None:
    await prepared(service, port, examples=1)
    async with service.client(await service.key(("read", "write"), "other")) as other:
        await other.post("/v1/constitutions", content=a_law(1))
        answer = await other.post("/v1/constitutions/pears/qualify", json={"judge": "judge"})
        assert answer.status_code == 404
    async with service.client(await service.key(("read",))) as reader:
        assert (await reader.post("/v1/constitutions/pears/qualify", json={"judge": "judge"})).status_code == 403

"""What goes in, what is refused with its place, what comes back, and what may be deleted."""

import gzip
import json
from pathlib import Path

import pytest

from service.labelling.schemas import LabelProjectRequest
from tests.service.api.conftest import CONSTITUTION, PAIRS, PROMPTS, Service


async def test_a_constitution_goes_in_once_and_its_versions_never_change(service: Service) -> None:
    first = (await service.http.post("/v1/constitutions", content=CONSTITUTION)).json()
    again = (await service.http.post("/v1/constitutions", content="# a comment\n" + CONSTITUTION)).json()
    assert again["id"] == first["id"] and len(first["sha256"]) == 64
    changed = await service.http.post("/v1/constitutions", content=CONSTITUTION.replace("50}", "40}"))
    assert changed.status_code == 409 and "immutable" in changed.json()["detail"]
    newer = CONSTITUTION.replace("50}", "40}").replace('"1"', '"2"')
    second = (await service.http.post("/v1/constitutions", content=newer)).json()
    assert (await service.http.get("/v1/constitutions/short")).json()["id"] == second["id"]
    assert (await service.http.get("/v1/constitutions/short@1")).json()["id"] == first["id"]
    diff = (await service.http.get(f"/v1/constitutions/{first['id']}/diff/{second['id']}")).json()
    assert "brief" in json.dumps(diff)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONSTITUTION.replace("text:", "txet:"), "line 6"),
        (CONSTITUTION.replace("  - id: brief", "  - id: brief\n    id: brief"), "line 5"),
        ("a: &x [1]\nb: *x\n", "line 1"),
        ("x" * 1_500_000, "1,000,000"),
        ("name: \xff".encode("latin-1"), "UTF-8"),
        ("", "empty"),
    ],
)
async def test_a_bad_constitution_names_its_place(service: Service, text: str | bytes, said: str) -> None:
    answer = await service.http.post("/v1/constitutions", content=text)
    assert answer.status_code == 422 and said in answer.json()["detail"], answer.text
    assert (await service.http.get("/v1/constitutions")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("".join(f'{{"prompt": "{i}"}}\n' for i in range(6)) + "{broken\n", "line 7"),
        (b'{"prompt": "a"}\n{"prompt": "\xff"}\n', "line 2"),
        ('{"prompt": "a"}\n{"prompt": "  "}\n', "line 2"),
        ('{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "x"}\n', "line 2"),
        ('{"promt": "a"}\n', "promt"),
        ('{"prompt": [{"role": "assistant", "content": "a"}]}\n', "line 1"),
        ("\n", "no prompts"),
    ],
)
async def test_bad_prompts_name_their_line_and_store_nothing(service: Service, body: str | bytes, said: str) -> None:
    answer = await service.http.post("/v1/prompt-sets", content=body)
    assert answer.status_code == 422 and said in answer.json()["detail"], answer.text
    assert (await service.http.get("/v1/prompt-sets")).json()["data"] == []


async def test_prompts_in_csv_and_with_line_separators(service: Service) -> None:
    table = "prompt,split,topic\nWhy?,train,sky\nHow?,held_out,egg\n"
    made = await service.http.post("/v1/prompt-sets?filename=p.csv", content=table)
    assert made.status_code == 201 and (made.json()["train"], made.json()["held_out"]) == (1, 1)
    odd = json.dumps({"prompt": "one\u2028two"}, ensure_ascii=False)
    assert (await service.http.post("/v1/prompt-sets", content=odd)).json()["train"] == 1


async def test_a_name_is_no_path(service: Service) -> None:
    for name in ("../etc", "a/b", "..", ""):
        answer = await service.http.post("/v1/prompt-sets", params={"name": name}, content=PROMPTS)
        assert answer.status_code == 422, name
        assert "use letters, digits, blanks, '.', '_' and '-', a letter or digit first, 128" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field", "said"),
    [
        ("labels/preference-set", {"name": "a/b"}, "name", "letters, digits, blanks, '.', '_' and '-', a letter or"),
        ("label-projects", {"name": " a"}, "name", "letters, digits, blanks, '.', '_' and '-', a letter or digit"),
        ("label-projects/x/invitations", {"name": "a\tb"}, "name", "1 to 128 characters on one line, any but control"),
        ("keys", {"name": "a" * 65}, "name", "letters, digits, blanks, '.', '_' and '-', a letter or digit first, 64"),
        ("models", {"name": "a b"}, "name", "letters, digits, '.', '_' and '-', a letter or digit first, 128"),
        ("models", {"api_key_env": "sk-1"}, "api_key_env", "the name of an environment variable, not its value: cap"),
    ],
)
async def test_what_a_name_may_hold_is_said_in_words(
    service: Service, path: str, body: dict[str, str], field: str, said: str
) -> None:
    problem = (await service.http.post(f"/v1/{path}", json=body)).json()
    [told] = [error for error in problem["errors"] if error.startswith(f"{field}: ")]
    assert problem["status"] == 422 and told.startswith(f"{field}: use {said}"), problem
    assert "sk-1" not in problem["detail"] and "[" not in problem["detail"]


def test_names_are_described_by_their_pattern() -> None:
    name = LabelProjectRequest.model_json_schema()["properties"]["name"]
    assert (name["type"], name["pattern"]) == ("string", "^[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}$")


async def test_a_body_that_is_too_long_is_refused(service: Service) -> None:
    assert (await service.http.post("/v1/prompt-sets", content=b"x" * 3_000_000)).status_code == 413
    bomb = gzip.compress(b"0" * 5_000_000)
    answer = await service.http.post("/v1/preference-sets", content=bomb)
    assert answer.status_code == 422 and "longer than" in answer.json()["detail"]


FORMATS = {
    "trl": {"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."},
    "openai": {
        "input": {"messages": [{"role": "user", "content": "Why?"}]},
        "preferred_output": [{"role": "assistant", "content": "Because."}],
        "non_preferred_output": [{"role": "assistant", "content": "Hm."}],
    },
    "hh-rlhf": {
        "chosen": "\n\nHuman: Why?\n\nAssistant: Because.",
        "rejected": "\n\nHuman: Why?\n\nAssistant: Hm.",
    },
    "ultrafeedback": {
        "prompt": "Why?",
        "chosen": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
        "rejected": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Hm."}],
        "score_chosen": 8.0,
        "score_rejected": 3.0,
    },
    "argilla": {
        "fields": {"prompt": "Why?", "response_a": "Hm.", "response_b": "Because."},
        "responses": [{"status": "submitted", "user_id": "u", "values": {"preference": {"value": "b"}}}],
    },
    "label-studio": {
        "data": {"prompt": "Why?", "response_a": "Hm.", "response_b": "Because."},
        "annotations": [{"result": [{"type": "pairwise", "value": {"selected": "right"}}]}],
    },
    "nemo-aligner": {"prompt": "Why?", "chosen_response": "Because.", "rejected_response": "Hm."},
}


@pytest.mark.parametrize("format", FORMATS)
async def test_each_format_comes_in_and_goes_out(service: Service, format: str) -> None:
    made = await service.http.post("/v1/preference-sets?filename=x.jsonl", content=json.dumps(FORMATS[format]))
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    row = (await service.http.get(f"/v1/preference-sets/{id}/rows")).json()["data"][0]
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]
    assert (row["chosen"], row["rejected"], row["source"]) == ("Because.", "Hm.", "human")
    for target in (*FORMATS, "charter"):
        out = (await service.http.get(f"/v1/preference-sets/{id}/export", params={"format": target})).text
        back = await service.http.post("/v1/preference-sets", params={"format": target}, content=out)
        assert back.status_code == 201, (target, back.text)
        again = (await service.http.get(f"/v1/preference-sets/{back.json()['id']}/rows")).json()["data"][0]
        assert (again["prompt"], again["chosen"], again["rejected"]) == (row["prompt"], "Because.", "Hm."), target


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
async def test_an_export_as_another_kind_of_file(service: Service, kind: str) -> None:
    tie = '{"prompt": "Who?", "chosen": "You.", "rejected": "Me.", "p_chosen": 0.5}\n'
    id = (await service.http.post("/v1/preference-sets", content=PAIRS + tie)).json()["id"]
    out = await service.http.get(f"/v1/preference-sets/{id}/export", params={"format": "trl", "as": kind})
    assert out.headers["X-Left-Out"] == "1" and f"trl.{kind}" in out.headers["Content-Disposition"]
    back = await service.http.post(f"/v1/preference-sets?filename=back.{kind}", content=out.content)
    assert back.status_code == 201 and back.json()["rows"] == 1, back.text


async def test_broken_pairs_are_skipped_and_named_where_asked(service: Service) -> None:
    made = await service.http.post("/v1/preference-sets?skip_broken=true", content=PAIRS + "{broken\n")
    assert made.status_code == 201 and made.json()["report"]["skipped_lines"] == 1
    report = (await service.http.get(f"/v1/preference-sets/{made.json()['id']}/report")).json()
    assert report["rows"] == 1 and report["skipped"][0].startswith("line 2: not JSON")


async def test_rows_are_filtered(service: Service) -> None:
    more = '{"prompt": "Who?", "chosen": "You.", "rejected": "Me.", "p_chosen": 0.6}\n'
    id = (await service.http.post("/v1/preference-sets", content=PAIRS + more)).json()["id"]
    for query, found in (("unsure=0.1", 1), ("source=human", 2), ("source=ai", 0), ("principle=brief", 0)):
        rows = (await service.http.get(f"/v1/preference-sets/{id}/rows?{query}")).json()["data"]
        assert len(rows) == found, query


async def test_a_full_report_looks_at_the_rows(service: Service) -> None:
    await service.http.post("/v1/constitutions", content=CONSTITUTION)
    await service.http.post("/v1/prompt-sets?name=prompts", content='{"prompt": "Why?", "split": "held_out"}')
    id = (await service.http.post("/v1/preference-sets", content=PAIRS)).json()["id"]
    assert "coverage" not in (await service.http.get(f"/v1/preference-sets/{id}/report")).json()
    asked = {"full": True, "constitution": "short", "prompts": "prompts"}
    answer = await service.http.get(f"/v1/preference-sets/{id}/report", params=asked)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert [one["principle_id"] for one in report["coverage"]["principles"]] == ["brief"]
    assert (report["rows"], report["leakage"]["exact"]) == (1, 1)
    missing = await service.http.get(f"/v1/preference-sets/{id}/report", params=asked | {"prompts": "none"})
    assert missing.status_code == 404


async def test_a_broken_pair_names_its_line(service: Service) -> None:
    answer = await service.http.post("/v1/preference-sets", content=PAIRS + '{"prompt": "x", "chosen": "y"}\n')
    assert answer.status_code == 422 and "line 2" in answer.json()["detail"]
    assert (await service.http.get("/v1/preference-sets")).json()["data"] == []


async def test_labels_become_a_preference_set(service: Service) -> None:
    label = {"annotator": "ann_1", "prompt": "Why?", "a": "Hm.", "b": "Because.", "choice": "b", "comment": "True."}
    for choice in ("b", "skip", "both_bad"):
        assert (await service.http.post("/v1/labels", json=label | {"choice": choice})).status_code == 201
    made = (await service.http.post("/v1/labels/preference-set", json={})).json()
    row = (await service.http.get(f"/v1/preference-sets/{made['id']}/rows")).json()["data"]
    assert [(r["chosen"], r["annotators"]) for r in row] == [("Because.", ["ann_1"])]
    out = await service.http.get(f"/v1/preference-sets/{made['id']}/export", params={"format": "charter"})
    assert json.loads(out.text)["tags"] == {"comment": "True."}
    for principle, choice in (("honest", "a"), ("kind", "b")):
        await service.http.post("/v1/labels", json=label | {"principle_id": principle, "choice": choice})
    made = (await service.http.post("/v1/labels/preference-set", json={})).json()
    rows = (await service.http.get(f"/v1/preference-sets/{made['id']}/rows")).json()["data"]
    said = {tuple(r["per_principle"]): r["chosen"] for r in rows}
    assert said == {(): "Because.", ("honest",): "Hm.", ("kind",): "Because."}


async def test_a_post_sent_twice_is_carried_out_once(service: Service) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await service.http.post("/v1/prompt-sets", content=PROMPTS, headers=key)
    again = await service.http.post("/v1/prompt-sets", content=PROMPTS, headers=key)
    assert again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
    other = await service.http.post("/v1/prompt-sets", content=PROMPTS + "\n", headers=key)
    assert other.status_code == 422
    failed = await service.http.post("/v1/prompt-sets", content="{", headers={"Idempotency-Key": "k2"})
    mended = await service.http.post("/v1/prompt-sets", content="{", headers={"Idempotency-Key": "k2"})
    assert failed.status_code == mended.status_code == 422  # what was refused may be tried again
    assert len((await service.http.get("/v1/prompt-sets")).json()["data"]) == 1


async def test_lists_come_in_pages(service: Service) -> None:
    ids = [(await service.http.post("/v1/prompt-sets", content=PROMPTS)).json()["id"] for _ in range(3)]
    page = (await service.http.get("/v1/prompt-sets?limit=2")).json()
    assert [one["id"] for one in page["data"]] == ids[:2] and page["has_more"]
    rest = (await service.http.get(f"/v1/prompt-sets?limit=2&after={ids[1]}")).json()
    assert [one["id"] for one in rest["data"]] == ids[2:] and not rest["has_more"]


async def test_models_are_folders_or_endpoints(service: Service, tmp_path: Path) -> None:
    assert len((await service.model(tmp_path / "m"))["sha256"]) == 64
    for body, said in (
        ({"name": "x"}, "either"),
        ({"name": "x", "path": "/nowhere"}, "config.json"),
        ({"name": "x", "url": "ftp://h"}, "http"),
        ({"name": "../x", "url": "http://h"}, "name"),
        ({"name": "x", "url": "http://h", "colour": "red"}, "colour"),
    ):
        answer = await service.http.post("/v1/models", json=body)
        assert answer.status_code == 422 and said in answer.json()["detail"], answer.text
    (tmp_path / "m" / "config.json").write_text('{"auto_map": {"AutoModel": "x.Y"}}')
    answer = await service.http.post("/v1/models", json={"name": "evil", "path": str(tmp_path / "m")})
    assert answer.status_code == 422 and "auto_map" in answer.json()["detail"]


async def test_a_model_posted_again_otherwise_is_refused(service: Service) -> None:
    new = {"name": "far", "url": "https://judge.example", "served_name": "a", "api_key_env": "FAR_KEY"}
    made = (await service.http.post("/v1/models", json=new)).json()
    assert made["api_key_env"] == "FAR_KEY"
    assert (await service.http.post("/v1/models", json=new)).json() == made
    answer = await service.http.post("/v1/models", json=new | {"api_key_env": "OTHER_KEY", "licence": "MIT"})
    assert answer.status_code == 409
    assert "another api_key_env ('FAR_KEY', now 'OTHER_KEY'), licence ('', now 'MIT')" in answer.json()["detail"]
    assert "delete it first" in answer.json()["detail"]


async def test_openapi_has_an_example_for_each_body(service: Service) -> None:
    spec = (await service.http.get("/openapi.json")).json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"] and operation.get("description"), (method, path)

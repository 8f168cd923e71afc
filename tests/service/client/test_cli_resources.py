"""`charter` against a real service: what is registered is listed, and each kind of resource is deleted."""

import asyncio
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from service.cli.__main__ import app, main
from service.client import ApiError
from tests.service.client.test_client import file, model_folder, prepared, publish

Charter = Callable[..., Result]


@pytest.fixture
def charter(live) -> Charter:
    """Runs a command with the address and the key of the service."""
    own = {"CHARTER_URL": live.process.url, "CHARTER_API_KEY": live.process.api_key()}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env=own)

    return run


def test_a_folder_and_an_endpoint_are_models(charter, tmp_path):
    folder = model_folder(tmp_path)
    added = charter("model", "add", "from-folder", str(folder), "--context-tokens", "64")
    assert added.exit_code == 0, added.output
    judge = ("model", "add", "from-url", "https://judge.example/v1", "--served-name", "judge-70b")
    assert charter(*judge, "--api-key-env", "JUDGE_KEY", "--licence", "MIT").exit_code == 0
    rows = [line.split("\t") for line in charter("model", "list").stdout.splitlines()]
    assert ["from-folder", str(folder), "-", "64"] in [row[1:] for row in rows]
    assert ["from-url", "-", "https://judge.example/v1", "8192"] in [row[1:] for row in rows]


def test_a_folder_that_is_none_is_the_services_own_words(charter, tmp_path):
    refused = charter("model", "add", "none", str(tmp_path))
    assert isinstance(refused.exception, ApiError) and "config.json" in str(refused.exception)


def test_a_fault_in_a_posted_constitution_names_the_file(charter, tmp_path):
    refused = charter("constitution", "post", str(file(tmp_path, "garden.yaml", "name: garden\n")))
    assert isinstance(refused.exception, ApiError)
    assert "constitution 'garden.yaml', line 1, column 1: principles is missing" in str(refused.exception)


def test_a_set_that_is_refused_says_how_to_leave_broken_lines_out(charter, tmp_path):
    broken = '{"prompt": "Why?", "chosen": "So.", "rejected": "Hm."}\n{"prompt": "When?", "chosen": "Now."}\n'
    path = str(file(tmp_path, "pairs.jsonl", broken))
    refused = charter("preferences", "post", path)
    assert "line 2: rejected is missing; nothing was stored; mend" in str(refused.exception)
    assert "skip_broken" in str(refused.exception)
    assert charter("preferences", "post", path, "--skip-broken").exit_code == 0


def test_everything_that_the_api_deletes_is_deleted(charter, client, live, tmp_path):
    """In the order that dependencies allow; whatever is deleted is then unknown."""
    request = prepared(client, tmp_path).model_copy(update={"model": "base"})
    text = '{"prompt": "Why?", "chosen": "Because.", "rejected": "Hm."}\n'
    pairs = client.add_preferences(file(tmp_path, "pairs.jsonl", text))
    run = client.create_run(request)
    client.cancel_run(run.id)
    asyncio.run(publish(live, run.id, file(tmp_path, "bundle", "x"), "0" * 64))
    refused = charter("run", "delete", run.id)
    assert isinstance(refused.exception, ApiError) and refused.exception.status == 409
    unused = client.add_model(name="unused", url="https://judge.example")
    other = client.add_constitution(b"name: other\nprinciples: [{id: a, kind: judged, text: Be kind.}]\n")
    for group, id in (
        ("adapter", client.adapter_of(run.id).id),
        ("run", run.id),
        ("prompts", request.prompts),
        ("preferences", pairs.id),
        ("model", unused.name),
        ("constitution", f"{other.name}@{other.version}"),
    ):
        done = charter(group, "delete", id)
        assert (done.exit_code, done.stdout) == (0, f"deleted {id}\n"), done.output
        again = charter(group, "delete", id)
        assert isinstance(again.exception, ApiError) and again.exception.status == 404


def test_an_id_is_one_segment_of_the_path(charter, client):
    """`run delete ../models/x` must not delete a model."""
    client.add_model(name="stays", url="https://judge.example")
    refused = charter("run", "delete", "../models/stays")
    assert isinstance(refused.exception, ApiError)
    assert "stays" in [model.name for model in client.models()]


def test_an_export_says_what_its_format_cannot_hold(charter, client, tmp_path):
    tie = '{"prompt": "Why %d?", "chosen": "So.", "rejected": "Hm.", "p_chosen": %s}\n'
    made = client.add_preferences(file(tmp_path, "ties.jsonl", tie % (0, 1) + tie % (1, 0.5)))
    for format, said in (("trl", "1 row left out: trl cannot hold them"), ("charter", "")):
        exported = charter("preferences", "export", made.id, str(tmp_path / "out"), "--format", format)
        assert exported.exit_code == 0 and exported.stderr.startswith(said)
    assert not exported.stderr


def test_every_broken_line_of_a_file_is_told(live, tmp_path, monkeypatch, capsys):
    broken = (
        '{"prompt": "Why?"}\n{"prompt": ""}\n{"prompt": "When?"}\n{"prompt": "Who?", "colour": 1}\n{"prompt": "Why?"}\n'
    )
    path = file(tmp_path, "prompts.jsonl", broken)
    monkeypatch.setattr(sys, "argv", ["charter", "prompts", "post", str(path)])
    monkeypatch.setenv("CHARTER_URL", live.process.url)
    monkeypatch.setenv("CHARTER_API_KEY", live.process.api_key())
    with pytest.raises(SystemExit) as ended:
        main()
    first, *others = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert first.startswith("error: line 2: ") and first.endswith("(and 2 more); nothing was stored")
    assert [line.split(":")[0].strip() for line in others] == ["line 4", "line 5"]

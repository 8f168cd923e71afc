"""A file or a setting that is wrong is one line that names it, and status 1: never a traceback."""

import socket
import sys

import pytest

from service import serve
from service.cli.__main__ import main

REMEDY = "check the path, the rights and the free space"
KEYED = {"CHARTER_API_KEY": "ck_x"}


def failure(program, capsys) -> str:
    """What `program` writes on stderr as it ends with status 1, as a shell would show it."""
    with pytest.raises(SystemExit) as ended:
        program()
    said = capsys.readouterr()
    assert said.out == ""
    if ended.value.code == 1:
        return said.err
    assert isinstance(ended.value.code, str)  # Python prints it and exits with 1
    return ended.value.code + "\n"


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("constitution post gone.yaml", KEYED, f"gone.yaml: No such file or directory; {REMEDY}"),
        ("prompts post gone.jsonl", KEYED, f"gone.jsonl: No such file or directory; {REMEDY}"),
        ("preferences post .", KEYED, f".: Is a directory; {REMEDY}"),
        ("preferences export prf_0 no/out.jsonl", KEYED, f"no/out.jsonl.part: No such file or directory; {REMEDY}"),
        ("adapter download adp_0 no/a.tar.gz", KEYED, f"no/a.tar.gz.part: No such file or directory; {REMEDY}"),
        ("key create x", {"CHARTER_HOME": "/dev/null/home"}, f"/dev/null/home: Not a directory; {REMEDY}"),
        ("gc", {"CHARTER_PORT": "http"}, "CHARTER_PORT='http': Input should be a valid integer"),
        ("serve --port 70000", {}, "CHARTER_PORT='70000': Input should be less than or equal to 65535"),
        ("worker", {"CHARTER_ENGINE": "gpu"}, "CHARTER_ENGINE='gpu': Input should be 'vllm' or 'scripted'"),
        (
            "run resume run_0 --set training.learning_rate=0.1",
            KEYED,
            "--set: training.learning_rate: a run is resumed with what it was made with, but for training.tokens_per_",
        ),
        ("run resume run_0 --set training.tokens_per_batch=7", KEYED, "--set: training.tokens_per_batch: Input should"),
        ("run resume run_0 --set seed", KEYED, "--set 'seed': write key=value"),
        ("serve", {"CHARTER_ALLOWED_HOSTS": "me"}, 'error parsing value for field "allowed_hosts"'),
    ],
)
def test_a_wrong_file_or_setting_is_one_line(command, environment, expected, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["charter", *command.split()])
    for name, value in {"CHARTER_HOME": str(tmp_path), "CHARTER_PORT": "8080", **environment}.items():
        monkeypatch.setenv(name, value)
    said = failure(main, capsys)
    assert said.startswith(f"error: {expected}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CHARTER_PORT", "70000", "CHARTER_PORT='70000': Input should be less than or equal to 65535"),
        ("CHARTER_ALLOWED_HOSTS", "me", 'error parsing value for field "allowed_hosts"'),
        ("CHARTER_HOME", "/dev/null/home", f"/dev/null/home: Not a directory; {REMEDY}"),
        ("CHARTER_DATABASE_URL", "mysql://x", "mysql"),
    ],
)
def test_the_service_ends_with_one_line_too(variable, value, expected, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CHARTER_HOME", str(tmp_path))
    monkeypatch.setenv(variable, value)
    said = failure(serve.main, capsys)
    assert said.startswith("error: ") and expected in said
    assert said.count("\n") == 1


def test_a_port_that_is_taken_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CHARTER_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("CHARTER_PORT", str(port))
        with pytest.raises(SystemExit) as end:
            serve.main()
    assert str(end.value.code).startswith(f"error: cannot listen on 127.0.0.1:{port}: Address already in use; choose")

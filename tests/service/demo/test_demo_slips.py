"""A slip on the demo's command line: one clear line, status 1 or 2, nothing started and nothing lost."""

import runpy
import socket
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from service.demo.service_process import free_port

Slip = Callable[..., tuple[int, str]]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Slip:
    """`python -m service.demo` in this process, which where every slip ends before a child is started."""

    def run(*arguments: str, out: Path = tmp_path / "out") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["service.demo", "--out", str(out), *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("service.demo", run_name="__main__", alter_sys=False)
        said = capsys.readouterr()
        assert said.out == ""
        return int(str(ended.value.code)), said.err

    return run


def test_a_missing_human_file(demo, tmp_path):
    assert demo("--human", "nowhere.jsonl.gz") == (
        1,
        "error: --human nowhere.jsonl.gz: no such file; name one with preferences\n",
    )
    assert not (tmp_path / "out").exists()


def test_a_judge_by_half(demo):
    assert demo("--judge-model", "judge-70b")[1].endswith("not where it is; add --judge-url\n")
    assert demo("--judge-url", "http://127.0.0.1:1")[1].endswith("not what it serves; add --judge-model\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/v1", "127.0.0.1:{port}", "http://judge.invalid"])
def test_a_judge_that_cannot_be_reached(demo, url):
    url = url.format(port=free_port())
    status, said = demo("--judge-url", url, "--judge-model", "judge-70b")
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(f"error: --judge-url {url}: model 'judge-70b' at ")
    assert "cannot be reached" in said


def test_a_judge_that_wants_a_key_is_asked_with_the_one_in_the_variable(demo, monkeypatch):
    heard = []

    class Locked(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.headers.get("Authorization"))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(401, "no key")

        def log_message(self, *_said: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Locked) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        judge = ("--judge-url", f"http://127.0.0.1:{server.server_port}", "--judge-model", "judge-70b")
        status, said = demo(*judge)
        assert (status, said.count("\n")) == (1, 1)
        assert "401" in said and "finds it in $JUDGE_KEY" in said
        monkeypatch.setenv("JUDGE_KEY", "sk-secret")
        assert "sk-secret" not in demo(*judge)[1]
        server.shutdown()
    assert heard == [None, "Bearer sk-secret"]


def test_a_model_folder_without_weights(demo, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    status, said = demo("--model", str(tmp_path / "bare"))
    assert (status, said) == (
        1,
        f"error: --model {tmp_path / 'bare'}: no *.safetensors in it; other weight files are not loaded\n",
    )


def test_a_port_that_is_taken(demo):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        status, said = demo("--port", str(port))
    assert (status, said) == (
        1,
        f"error: --port {port}: Address already in use; take another one, or 0 for a free one\n",
    )


@pytest.mark.parametrize(("option", "value"), [("--port", "70000"), ("--seed", "-1"), ("--seed", str(2**31))])
def test_a_number_that_cannot_be(demo, option, value):
    status, said = demo(option, value)
    assert status == 2
    assert option in said


def test_a_folder_of_somebody_elses_is_left_as_it_is(demo, demos, tmp_path):
    (tmp_path / "house" / "service").mkdir(parents=True)
    (tmp_path / "house" / "service" / "precious.py").write_text("do not delete")
    status, said = demo("--model", str(demos.model), out=tmp_path / "house")
    assert (status, said) == (
        1,
        f"error: --out {tmp_path / 'house'}: it holds 'service' and no earlier demo; name a new or an empty folder\n",
    )
    assert (tmp_path / "house" / "service" / "precious.py").is_file()


def test_an_out_that_is_no_folder_or_cannot_be_made(demo, demos, tmp_path):
    (tmp_path / "file").write_text("")
    model = ("--model", str(demos.model))
    assert demo(*model, out=tmp_path / "file") == (
        1,
        f"error: --out {tmp_path / 'file'}: that is a file; name a folder\n",
    )
    assert demo(*model, out=tmp_path / "file" / "below") == (
        1,
        f"error: {tmp_path / 'file' / 'below'}: Not a directory; mend that and start again\n",
    )

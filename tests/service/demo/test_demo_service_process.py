"""The demo's child: waited for, explained when it fails, and gone afterwards. A small script plays the service."""

import sys
from pathlib import Path

import psutil
import pytest

from service.demo.errors import DemoError
from service.demo.service_process import ServiceSettings, start_service

ANSWERS = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
print("listening in", os.environ["CHARTER_HOME"], flush=True)
http.server.HTTPServer((os.environ["CHARTER_HOST"], int(os.environ["CHARTER_PORT"])), Ready).serve_forever()
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""


def settings(home: Path, script: str) -> ServiceSettings:
    return ServiceSettings(home=home, command=(sys.executable, "-c", script))


def test_it_is_ready_when_readyz_answers_and_gone_after_stop(tmp_path):
    service = start_service(settings(tmp_path / "home", ANSWERS))
    try:
        service.wait_until_ready()
        assert service.url.startswith("http://127.0.0.1:")
        assert str(tmp_path / "home") in service.log_tail()
    finally:
        service.stop()
    assert not psutil.pid_exists(service.pid)
    service.stop()  # a second time does nothing


def test_a_service_that_ends_at_once_is_explained_with_its_log(tmp_path):
    service = start_service(settings(tmp_path, "import sys; sys.exit('port 1 is taken')"))
    with pytest.raises(DemoError, match=r"ended with status 1.*\n.*service.log\nport 1 is taken"):
        service.wait_until_ready()
    service.stop()


def test_a_service_that_never_answers_is_explained_too_and_killed_with_its_children(tmp_path):
    service = start_service(settings(tmp_path, STUBBORN))
    (tmp_path / "engine.log").write_text("ValueError: no such model\n")
    with pytest.raises(DemoError, match=r"not ready after 2 s:[^$]*ValueError: no such model"):
        service.wait_until_ready(within_s=2.0)
    children = psutil.Process(service.pid).children()
    assert len(children) == 1
    service.stop(grace_s=0.1)
    psutil.wait_procs(children, timeout=5)
    assert not children[0].is_running()


def test_the_first_key_is_read_from_the_file_that_the_service_wrote(tmp_path):
    script = "import os, pathlib; pathlib.Path(os.environ['CHARTER_FIRST_KEY_FILE']).write_text('ck_1_secret\\n')"
    service = start_service(settings(tmp_path, script))
    with pytest.raises(DemoError, match="ended with status 0"):
        service.wait_until_ready()
    assert service.api_key() == "ck_1_secret"
    service.stop()


def test_a_missing_key_is_an_error_with_the_log(tmp_path):
    service = start_service(settings(tmp_path, "print('no key today')"))
    with pytest.raises(DemoError, match="ended with status 0"):
        service.wait_until_ready()
    with pytest.raises(DemoError, match=r"left no API key [^$]*no key today"):
        service.api_key()
    service.stop()

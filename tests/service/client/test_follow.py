"""Following a run: every event once and in order, whatever breaks on the way."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from service.client import ApiError, Client, Unreachable
from service.store.records import NewEvent
from service.store.store import Store
from tests.service.client.conftest import Answer, Live, Odd
from tests.service.client.test_client import LAW, prepared

ODD_TEXT = "one\u2028two\u0085three\x0bfour \U0001f642"


async def add_events(live: Live, run_id: str, count: int, status: str | None = None) -> None:
    store = Store(live.database)
    for done in range(count):
        await store.runs.add_event(run_id, NewEvent("sample", "progress", done, count, 0.5, {"note": ODD_TEXT}))
    if status is not None:
        await store.runs.move(run_id, "running")
        await store.runs.move(run_id, status)
    await store.close()


def test_texts_with_odd_line_ends_arrive_whole(client: Client, live: Live, tmp_path: Path) -> None:
    run = client.create_run(prepared(client, tmp_path))
    asyncio.run(add_events(live, run.id, 3, "succeeded"))
    events = list(client.follow(run.id))
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.data.get("note") for event in events[1:4]] == [ODD_TEXT] * 3
    assert [event.seq for event in client.follow(run.id, after=4)] == [5, 6]


def test_it_goes_on_when_the_service_was_killed_and_came_back(client: Client, live: Live, tmp_path: Path) -> None:
    run = client.create_run(prepared(client, tmp_path))
    asyncio.run(add_events(live, run.id, 5))

    seen: list[int] = []
    all_so_far = threading.Event()

    def follow() -> None:
        for event in client.follow(run.id):
            seen.append(event.seq)
            if event.seq == 6:  # the stream is open and waits
                all_so_far.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert all_so_far.wait(60)
    live.restart()
    asyncio.run(add_events(live, run.id, 5, "succeeded"))
    follower.join(60)
    assert seen == list(range(1, 14))
    assert client.get_run(run.id).status == "succeeded"


def test_an_unknown_run_is_told_at_once(client: Client) -> None:
    with pytest.raises(ApiError, match="no run"):
        list(client.follow("run_0"))


def answer(body: bytes, *, status: int = 200, length: int | None = None, kind: str = "application/json") -> Answer:
    """An answer that promises `length` bytes and then ends."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def hang_up(_handler: BaseHTTPRequestHandler) -> None:
    """The request was read, and no answer comes."""


CONSTITUTION = {"id": "con_1", "name": "short", "version": "1", "sha256": "0", "created_at": "", "findings": []}
MADE = json.dumps(CONSTITUTION).encode()


def run_in(status: str) -> Answer:
    times = {"created_at": "", "started_at": None, "finished_at": None}
    return answer(json.dumps({"id": "run_1", "status": status, "error": None, **times}).encode())


def stream(*numbers: int, length: int | None = None) -> Answer:
    fields = {"stage": "sample", "type": "progress", "at": "", "done": 1, "total": 2, "eta_s": 1.0, "data": {}}
    text = "".join(f"id: {seq}\nevent: progress\ndata: {json.dumps({'seq': seq, **fields})}\n\n" for seq in numbers)
    return answer(text.encode(), length=length, kind="text/event-stream")


def test_a_stream_that_ends_early_but_cleanly_is_read_on(odd: Odd) -> None:
    # As a proxy ends it: the run has succeeded meanwhile, but events 3 and 4 were not told yet.
    odd.answers = [run_in("running"), stream(1, 2), run_in("succeeded"), stream(3), run_in("succeeded"), stream(4)]
    odd.answers += [run_in("succeeded"), stream()]
    with Client(odd.url, api_key="ck_x") as client:
        assert [event.seq for event in client.follow("run_1")] == [1, 2, 3, 4]
    assert odd.answers == []


def test_a_stream_cut_inside_an_event_is_taken_up_again(odd: Odd) -> None:
    odd.answers = [run_in("running"), stream(1, 2, length=100_000), run_in("succeeded"), stream(3)]
    odd.answers += [run_in("succeeded"), stream()]
    with Client(odd.url, api_key="ck_x") as client:
        assert [event.seq for event in client.follow("run_1")] == [1, 2, 3]


def test_a_post_without_an_answer_is_sent_again_under_the_same_key(odd: Odd) -> None:
    odd.answers = [hang_up, answer(MADE[:20], length=len(MADE)), answer(MADE, status=201)]
    with Client(odd.url, api_key="ck_x") as client:
        assert client.add_constitution(LAW).id == "con_1"
    assert len(odd.keys) == 3 and len(set(odd.keys)) == 1 and odd.keys[0]


def test_a_get_without_an_answer_is_told(odd: Odd) -> None:
    odd.answers = [hang_up]
    with Client(odd.url, api_key="ck_x") as client, pytest.raises(Unreachable):
        client.get_run("run_1")


@pytest.mark.parametrize("status", [200, 502])
def test_another_program_at_the_address_is_told(odd: Odd, status: int) -> None:
    odd.answers = [answer(b"<html>\xff", status=status, kind="text/html")]
    with Client(odd.url, api_key="ck_x") as client, pytest.raises(ApiError, match="is that the service's address"):
        client.get_run("run_1")


def test_a_download_that_breaks_leaves_no_file(odd: Odd, tmp_path: Path) -> None:
    odd.answers = [answer(b"half", length=8, kind="application/gzip")]
    with Client(odd.url, api_key="ck_x") as client, pytest.raises(Unreachable):
        client.download_adapter("adp_1", tmp_path / "adapter.tar.gz")
    assert list(tmp_path.iterdir()) == []

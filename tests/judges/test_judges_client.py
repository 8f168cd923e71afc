"""The client against a real HTTP server on a Unix socket that fails in every way it can."""

import asyncio
import re
import time

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from judges.behaviour import Behaviour, Fault
from judges.client import ChatClient, ClientSettings
from judges.errors import (
    BudgetSpent,
    JudgeBusy,
    JudgeRejected,
    JudgeServerError,
    JudgeTimedOut,
    JudgeUnavailable,
    JudgeUnreadable,
    PromptTooLong,
)
from judges.records import Message
from judges.replicas import Endpoint
from judges.wire import ChatRequest
from tests.judges.conftest import Scripted, serve

HELLO = [Message("user", "hello")]
ONE = ClientSettings(attempts=1, timeout_s=5)
ASK = ChatRequest(max_tokens=16)


def fault(kind, **more):
    return Behaviour(faults=(Fault(kind, **more),))


async def test_a_reply_is_read(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint]) as client:
        reply = await client.chat(HELLO, request=ChatRequest(max_tokens=3))
    assert len(reply.text.split(" ")) == 3
    assert (reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == ("length", 4, 3)
    assert client.tokens_spent == 7


async def test_only_known_fields_are_sent_and_never_a_seed(sockets):
    """A per-request seed can end vLLM's CPU engine, and vendor fields can do worse."""
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint]) as client:
        request = ChatRequest(4, temperature=0.7, top_p=0.9, stop=("x",), top_logprobs=5, affinity="p")
        await client.chat(HELLO, request=request)
    assert scripted.server.fields == {
        *("model", "messages", "max_tokens", "temperature", "top_p", "stop", "logprobs", "top_logprobs")
    }


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", JudgeServerError),
        ("429", JudgeBusy),
        ("400", JudgeRejected),
        ("garbage", JudgeUnreadable),
        ("truncated", JudgeUnreadable),
        ("huge", JudgeUnreadable),
    ],
)
async def test_each_fault_has_its_error(sockets, kind, error):
    async with Scripted(sockets, fault(kind)) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        with pytest.raises(error, match="scripted") as caught:
            await client.chat(HELLO, request=ASK)
    assert type(caught.value) is error
    assert client.tokens_spent == 0


async def test_nan_logprobs_are_unreadable(sockets):
    async with Scripted(sockets, fault("nan")) as scripted, ChatClient([scripted.endpoint], ONE) as client:
        with pytest.raises(JudgeUnreadable, match="NaN"):
            await client.chat(HELLO, request=ChatRequest(1, top_logprobs=2))


async def test_a_hang_is_a_timeout(sockets):
    settings = ClientSettings(attempts=1, timeout_s=0.05)
    async with Scripted(sockets, fault("hang")) as scripted, ChatClient([scripted.endpoint], settings) as client:
        with pytest.raises(JudgeTimedOut, match=r"0\.05 s"):
            await client.chat(HELLO, request=ASK)


async def test_nobody_there(sockets):
    nowhere = Endpoint("m", uds=str(sockets / "nobody.sock"))
    async with ChatClient([nowhere], ONE) as client:
        with pytest.raises(JudgeUnavailable, match=r"nobody\.sock"):
            await client.chat(HELLO, request=ASK)


async def test_a_failure_that_passes_is_retried(sockets):
    behaviour = Behaviour(faults=(Fault("500", until_request=1), Fault("garbage", from_request=1, until_request=2)))
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint]) as client:
        reply = await client.chat(HELLO, request=ASK)
    assert reply.text
    assert scripted.server.number == 3


async def test_a_rejection_is_not_retried(sockets):
    async with Scripted(sockets, fault("400")) as scripted, ChatClient([scripted.endpoint]) as client:
        with pytest.raises(JudgeRejected, match="scripted refusal"):
            await client.chat(HELLO, request=ASK)
    assert scripted.server.number == 1


async def test_attempts_are_counted(sockets):
    settings = ClientSettings(attempts=3)
    async with Scripted(sockets, fault("500")) as scripted, ChatClient([scripted.endpoint], settings) as client:
        with pytest.raises(JudgeServerError):
            await client.chat(HELLO, request=ASK)
    assert scripted.server.number == 3


async def test_retry_after_is_waited_for(sockets):
    """The wait is never less than the server asked for; the upper side is left free."""
    async with (
        Scripted(sockets, fault("429", until_request=1, seconds=1)) as scripted,
        ChatClient([scripted.endpoint]) as client,
    ):
        started = time.monotonic()
        await client.chat(HELLO, request=ASK)
    assert time.monotonic() - started >= 1.0
    assert scripted.server.number == 2


async def test_the_deadline_ends_the_retries(sockets):
    settings = ClientSettings(attempts=100, deadline_s=0.5)
    async with (
        Scripted(sockets, fault("429", seconds=5)) as scripted,
        ChatClient([scripted.endpoint], settings) as client,
    ):
        with pytest.raises(JudgeBusy):
            await client.chat(HELLO, request=ASK)
    assert scripted.server.number == 1


async def test_another_replica_takes_over(sockets):
    async with (
        Scripted(sockets, fault("500")) as ill,
        Scripted(sockets) as well,
        ChatClient([ill.endpoint, well.endpoint], clock=lambda: 0.0) as client,  # the breaker never tries it again
    ):
        replies = [await client.chat(HELLO, request=ASK) for _ in range(20)]
    assert all(reply.text for reply in replies)
    assert well.server.number == 20
    assert ill.server.number == 5  # then its breaker is open


async def test_a_dead_replica_costs_nothing_but_time(sockets):
    dead = Endpoint("scripted", uds=str(sockets / "dead.sock"))
    async with Scripted(sockets) as well, ChatClient([dead, well.endpoint]) as client:
        replies = await asyncio.gather(*(client.chat(HELLO, request=ASK) for _ in range(30)))
    assert len(replies) == well.server.number == 30


async def test_a_replica_that_hangs_costs_no_answer(sockets):
    """Once answers have told how long one takes, a late request is asked again elsewhere, and the late one rests."""
    async with (
        Scripted(sockets, fault("hang", from_request=20)) as ill,
        Scripted(sockets) as well,
        ChatClient([ill.endpoint, well.endpoint], ClientSettings(concurrency=8, timeout_s=3600)) as client,
    ):
        replies = await asyncio.gather(*(client.chat(HELLO, request=ASK) for _ in range(120)))
        assert len(replies) == 120
        await asyncio.gather(*(client.chat(HELLO, request=ASK) for _ in range(8)))
    assert ill.server.number <= 20 + 20  # all its places, those that became free before its breaker opened, and probes


async def test_a_busy_replica_is_left_alone_and_nobody_waits_for_it(sockets):
    """It asks for an hour; the others answer at once."""
    async with (
        Scripted(sockets, fault("429", seconds=3600)) as busy,
        Scripted(sockets) as well,
        ChatClient([busy.endpoint, well.endpoint], ClientSettings(concurrency=4)) as client,
    ):
        replies = await asyncio.gather(*(client.chat(HELLO, request=ASK) for _ in range(40)))
    assert len(replies) == well.server.number == 40
    assert busy.server.number <= 4


async def test_a_server_that_hangs_up_on_idle_connections_costs_no_request(sockets):
    """As uvicorn does after 5 s: here at once, when a second request comes over the same connection."""
    answer = b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)

    async def once(reader, writer):
        asked = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", asked)[1]))
        writer.write(head + answer)
        await reader.read(1)
        writer.transport.abort()

    async with (
        await asyncio.start_unix_server(once, sockets / "s.sock"),
        ChatClient([Endpoint("m", uds=str(sockets / "s.sock"))], ONE) as client,
    ):
        for _ in range(10):
            assert (await client.chat(HELLO, request=ASK)).text == "x"


async def test_the_breaker_spares_a_dead_server(sockets):
    now = [0.0]
    async with (
        Scripted(sockets, fault("500", until_request=6)) as scripted,
        ChatClient([scripted.endpoint], ONE, clock=lambda: now[0]) as client,
    ):
        for _ in range(5):
            with pytest.raises(JudgeServerError):
                await client.chat(HELLO, request=ASK)
        with pytest.raises(JudgeUnavailable, match="5 times in a row"):
            await client.chat(HELLO, request=ASK)
        assert scripted.server.number == 5
        now[0] += 1.0  # half-open: one probe, which fails, and the rest doubles to 2 s
        with pytest.raises(JudgeServerError):
            await client.chat(HELLO, request=ASK)
        now[0] += 1.5
        with pytest.raises(JudgeUnavailable, match="in a row"):
            await client.chat(HELLO, request=ASK)
        assert scripted.server.number == 6
        now[0] += 0.5
        assert (await client.chat(HELLO, request=ASK)).text
        assert (await client.chat(HELLO, request=ASK)).text


async def test_half_open_lets_one_through(sockets):
    now = [0.0]
    behaviour = Behaviour(latency_s=0.05, faults=(Fault("500", until_request=5),))
    async with (
        Scripted(sockets, behaviour) as scripted,
        ChatClient([scripted.endpoint], ONE, clock=lambda: now[0]) as client,
    ):
        for _ in range(5):
            with pytest.raises(JudgeServerError):
                await client.chat(HELLO, request=ASK)
        now[0] += 1.0
        asked = [client.chat(HELLO, request=ASK) for _ in range(10)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, JudgeUnavailable) for outcome in outcomes) == 9
    assert scripted.server.number == 6


async def test_concurrency_is_bounded_and_used(sockets):
    settings = ClientSettings(concurrency=7)
    async with (
        Scripted(sockets, Behaviour(latency_s=0.02)) as scripted,
        ChatClient([scripted.endpoint], settings) as client,
    ):
        await asyncio.gather(*(client.chat(HELLO, request=ASK) for _ in range(50)))
    assert scripted.server.peak_in_flight == 7


async def test_cancelled_requests_leave_their_places(sockets):
    settings = ClientSettings(concurrency=2)
    behaviour = fault("hang", until_request=2)
    async with Scripted(sockets, behaviour) as scripted, ChatClient([scripted.endpoint], settings) as client:
        hanging = [asyncio.ensure_future(client.chat(HELLO, request=ASK)) for _ in range(3)]
        while scripted.server.number < 2:  # noqa: ASYNC110 - the server counts for itself
            await asyncio.sleep(0.01)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert (await client.chat(HELLO, request=ASK)).text


async def test_the_budget_ends_the_requests(sockets):
    settings = ClientSettings(max_tokens_total=10)
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint], settings) as client:
        for _ in range(2):  # 4 + 3 tokens each
            await client.chat(HELLO, request=ChatRequest(max_tokens=3))
        with pytest.raises(BudgetSpent, match=r"10 tokens is spent \(14\)"):
            await client.chat(HELLO, request=ChatRequest(max_tokens=3))
    assert scripted.server.number == 2


async def test_a_prompt_too_long_is_told(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint]) as client:
        with pytest.raises(PromptTooLong, match="4096") as caught:
            await client.chat([Message("user", "word " * 5000)], request=ASK)
    assert caught.value.status == 400


async def test_an_unknown_model_is_told(sockets):
    async with Scripted(sockets) as scripted:
        other = Endpoint("other", uds=scripted.endpoint.uds)
        async with ChatClient([other]) as client:
            with pytest.raises(JudgeRejected, match=r"`other` does not exist.*check the URL and the model's name"):
                await client.chat(HELLO, request=ASK)


async def test_the_models_are_listed(sockets):
    async with Scripted(sockets, model="m") as scripted, ChatClient([scripted.endpoint]) as client:
        assert [(m.name, m.max_model_len) for m in await client.models()] == [("m", 4096)]


async def test_the_models_are_listed_while_every_place_is_taken(sockets):
    settings = ClientSettings(concurrency=1)
    async with Scripted(sockets, fault("hang")) as scripted, ChatClient([scripted.endpoint], settings) as client:
        hanging = asyncio.ensure_future(client.chat(HELLO, request=ASK))
        while not scripted.server.number:  # noqa: ASYNC110 - the server counts for itself
            await asyncio.sleep(0.01)
        assert await client.models()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_requests_of_one_prompt_stay_together(sockets):
    async with Scripted(sockets) as one, Scripted(sockets) as two, ChatClient([one.endpoint, two.endpoint]) as client:
        for prompt in range(16):
            for _ in range(3):
                await client.chat(
                    [Message("user", f"prompt {prompt}")], request=ChatRequest(4, affinity=f"prompt {prompt}")
                )
    seen = [{body["messages"][0]["content"] for body in s.server.bodies} for s in (one, two)]
    assert not seen[0] & seen[1]
    assert all(seen)


async def test_lone_surrogates_do_not_break_the_request(sockets):
    async with Scripted(sockets) as scripted, ChatClient([scripted.endpoint]) as client:
        await client.chat([Message("user", "a\ud800b")], request=ASK)
    assert scripted.server.bodies[0]["messages"][0]["content"] == "a?b"


async def odd(answer, sockets, **settings):
    """What one chat does against a server that always gives this answer."""

    async def chat(_: Request) -> Response:
        return answer

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    path = sockets / "odd.sock"
    async with serve(app, path), ChatClient([Endpoint("m", uds=str(path))], ClientSettings(attempts=1)) as client:
        return await client.chat(HELLO, request=ChatRequest(1, **settings))


USAGE = {"prompt_tokens": 1, "completion_tokens": 1}


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"choices": []},
        {"choices": [1]},
        {"choices": [{"message": None}], "usage": USAGE},
        {"choices": [{"message": {"content": 3}}], "usage": USAGE},
        {"choices": [{"message": {"content": "A"}}]},
        {"choices": [{"message": {"content": "A"}}], "usage": {"prompt_tokens": -1, "completion_tokens": 1}},
        {"choices": [{"message": {"content": "A"}}], "usage": {"prompt_tokens": True, "completion_tokens": 1}},
    ],
)
async def test_wrong_shapes_are_unreadable(sockets, body):
    with pytest.raises(JudgeUnreadable, match="model 'm' at"):
        await odd(JSONResponse(body), sockets)


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {"content": 3},
        {"content": [3]},
        {"content": [{"token": "A"}]},
        {"content": [{"top_logprobs": [{"token": "A"}]}]},
        {"content": [{"top_logprobs": [{"token": "A", "logprob": "0"}]}]},
        {"content": [{"top_logprobs": [{"token": "A", "logprob": 0.7}]}]},
    ],
)
async def test_wrong_logprobs_are_unreadable(sockets, logprobs):
    choice = {"message": {"content": "A"}, "logprobs": logprobs}
    with pytest.raises(JudgeUnreadable):
        await odd(JSONResponse({"choices": [choice], "usage": USAGE}), sockets, top_logprobs=5)


async def test_no_redirect_is_followed(sockets):
    with pytest.raises(JudgeRejected, match="307"):
        await odd(RedirectResponse("http://169.254.169.254/"), sockets)


async def test_an_api_key_is_sent_and_never_shown(sockets):
    seen = []

    async def chat(request: Request) -> Response:
        seen.append(request.headers["authorization"])
        return Response("no", 401)

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    path = sockets / "keyed.sock"
    endpoint = Endpoint("m", uds=str(path), api_key="sk-secret")
    async with serve(app, path), ChatClient([endpoint]) as client:
        with pytest.raises(JudgeRejected, match="check its API key") as caught:
            await client.chat(HELLO, request=ASK)
    assert seen == ["Bearer sk-secret"]
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-1\nsk-2", "sk-\u2028", "clé"])
async def test_a_key_that_no_header_takes_is_refused_and_not_shown(key):
    async with ChatClient([Endpoint("m", "http://127.0.0.1:9", api_key=key)], ClientSettings(attempts=1)) as client:
        with pytest.raises(JudgeRejected, match="its key holds a line break") as refused:
            await client.chat(HELLO, request=ASK)
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://127.0.0.1:9:9", "http://no such host", "ftp://h", "http://h:99999"]
)
async def test_a_url_that_leads_nowhere_is_an_error_that_names_it(url):
    async with ChatClient([Endpoint("m", url)], ClientSettings(attempts=1, timeout_s=20)) as client:
        with pytest.raises(JudgeUnavailable) as refused:
            await client.chat(HELLO, request=ASK)
    assert url in str(refused.value)

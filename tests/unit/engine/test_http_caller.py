"""Calling real services on loopback: one contract for every step client."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from argyll.engine.caller import USER_AGENT, Failure, HttpCaller, Identity, Request, Retryable, StepCaller, Success
from argyll.engine.plain_caller import PlainCaller
from argyll.model import json
from argyll.model.limits import MAX_RESPONSE_BYTES

WHO = Identity("f-1", "step-1", "token-1", "http://engine/webhook/f-1/step-1/token-1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(params=["aiohttp", "plain"])
async def caller(request: pytest.FixtureRequest) -> AsyncIterator[StepCaller]:
    def now_us() -> int:
        return 1_000_000_000

    general = HttpCaller(now_us)
    made = PlainCaller(now_us, general) if request.param == "plain" else general
    yield made
    await made.close()


@pytest.fixture
async def serving() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Starts a service that answers with a handler; gives its base URL."""
    runners: list[web.ServerRunner] = []

    async def start(handler: Handler) -> str:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    yield start
    for runner in runners:
        await runner.cleanup()


Serving = Callable[[Handler], Awaitable[str]]


def post(url: str, timeout_ms: int = 5_000) -> Request:
    return Request("POST", url, b'{"x":1}', timeout_ms, WHO)


def get(url: str) -> Request:
    return Request("GET", url, None, 5_000, Identity("f-1", "step-1", "token-1"))


async def test_a_call_says_who_calls_and_brings_its_arguments(caller: StepCaller, serving: Serving):
    """execution.md 13.25/234, 13.26/257"""
    heard: list[tuple[web.Request, bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        heard.append((request, await request.read()))
        return web.json_response({"y": 2})

    url = await serving(handle)
    assert await caller.call(post(f"{url}/a%20b/c?q=%26")) == Success({"y": 2})
    assert await caller.call(get(f"{url}/g")) == Success({"y": 2})
    (posted, body), (got, nothing) = heard
    assert (posted.method, posted.raw_path, body) == ("POST", "/a%20b/c?q=%26", b'{"x":1}')
    assert {name: posted.headers[name] for name in ("Content-Type", "Accept", "User-Agent", "Host")} == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
        "Host": url.removeprefix("http://"),
    }
    assert {name: posted.headers[name] for name in WHO.headers()} == WHO.headers()
    assert (got.method, got.raw_path, nothing) == ("GET", "/g", b"")
    assert "Content-Type" not in got.headers
    assert "Argyll-Webhook-URL" not in got.headers
    assert got.headers["Argyll-Receipt-Token"] == "token-1"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"status": 200, "body": b""}, Success({})),
        ({"status": 202, "body": b""}, Success({})),
        ({"status": 204}, Success({})),
        ({"status": 200, "body": b"null"}, Success({})),
        ({"status": 200, "body": b"[1]"}, Failure("invalid output JSON: expected an object, got list")),
        ({"status": 404, "body": b"no"}, Failure("step returned HTTP error: status 404")),
        ({"status": 304}, Failure("step returned HTTP error: status 304")),
        (
            {"status": 422, "body": b'{"detail":"why"}', "content_type": "application/problem+json"},
            Failure("step returned HTTP error: status 422: why"),
        ),
        ({"status": 500, "body": b"oops"}, Retryable("work not completed\nstep returned HTTP error: status 500")),
        ({"status": 408}, Retryable("work not completed\nstep returned HTTP error: status 408")),
        ({"status": 425}, Retryable("work not completed\nstep returned HTTP error: status 425")),
        (
            {"status": 429, "headers": {"Retry-After": "2"}},
            Retryable("work not completed\nstep returned HTTP error: status 429", 2_000),
        ),
        (
            {"status": 503, "headers": {"Retry-After": "Thu, 01 Jan 1970 00:16:50 GMT"}},
            Retryable("work not completed\nstep returned HTTP error: status 503", 10_000),
        ),
    ],
)
async def test_what_an_answer_means(caller: StepCaller, serving: Serving, answer: dict[str, Any], outcome: Any):
    async def handle(request: web.Request) -> web.Response:
        return web.Response(**answer)

    assert await caller.call(post(await serving(handle))) == outcome


async def test_broken_json_is_worth_another_try(caller: StepCaller, serving: Serving):
    """execution.md 13.25/237"""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=b'{"y":')

    outcome = await caller.call(post(await serving(handle)))
    assert isinstance(outcome, Retryable)
    assert "invalid output JSON" in outcome.error


async def test_compressed_and_chunked_answers_are_read(caller: StepCaller, serving: Serving):
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/gzip":
            return web.Response(body=gzip.compress(b'{"y":1}'), headers={"Content-Encoding": "gzip"})
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in (b'{"y"', b":", b"2}"):
            await response.write(part)
        return response

    url = await serving(handle)
    assert await caller.call(post(f"{url}/gzip")) == Success({"y": 1})
    assert await caller.call(post(f"{url}/chunked")) == Success({"y": 2})
    assert await caller.call(post(f"{url}/chunked")) == Success({"y": 2})


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_over_the_limit_is_refused(caller: StepCaller, serving: Serving, chunked: bool):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = 2 * MAX_RESPONSE_BYTES
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(32):
                await response.write(b" " * (MAX_RESPONSE_BYTES // 16))
        return response

    outcome = await caller.call(post(await serving(handle)))
    assert isinstance(outcome, Failure)
    assert "larger than" in outcome.error


async def test_the_largest_answer_is_taken(caller: StepCaller, serving: Serving):
    text = json.encode({"y": "x" * (MAX_RESPONSE_BYTES - 8)})
    assert len(text) == MAX_RESPONSE_BYTES

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=text)

    assert isinstance(await caller.call(post(await serving(handle))), Success)


async def test_a_redirect_is_followed(caller: StepCaller, serving: Serving):
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/old":
            return web.Response(status=307, headers={"Location": "/new"})
        return web.json_response({"method": request.method, "body": await request.text()})

    assert await caller.call(post(f"{await serving(handle)}/old")) == Success({"method": "POST", "body": '{"x":1}'})


async def test_redirects_without_end_do_not_hang(caller: StepCaller, serving: Serving):
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": request.path})

    assert not isinstance(await caller.call(post(f"{await serving(handle)}/again")), Success)


@pytest.mark.parametrize("answer", ["nothing", "half"])
async def test_a_service_that_does_not_finish_in_time_is_tried_again(caller: StepCaller, serving: Serving, answer: str):
    """execution.md 13.25/238"""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if answer == "half":
            await response.prepare(request)
            await response.write(b'{"y":')
        await asyncio.Event().wait()
        return response

    url = await serving(handle)
    assert await caller.call(post(url, timeout_ms=50)) == Retryable(
        f"work not completed\nno answer within 50 ms from {url}"
    )


async def test_a_call_may_take_longer_than_another_steps_timeout(caller: StepCaller, serving: Serving):
    """execution.md 13.25/238"""

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(0.06)
        return web.json_response({})

    url = await serving(handle)
    assert isinstance(await caller.call(post(f"{url}/slow", timeout_ms=30)), Retryable)
    assert await caller.call(post(f"{url}/slow", timeout_ms=10_000)) == Success({})


async def test_a_refused_connection_is_tried_again(caller: StepCaller, free_port: int):
    outcome = await caller.call(post(f"http://127.0.0.1:{free_port}/x"))
    assert isinstance(outcome, Retryable)
    assert outcome.error.startswith("work not completed\n")
    assert str(free_port) in outcome.error


async def test_a_connection_that_breaks_off_is_tried_again(caller: StepCaller, serving: Serving):
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert isinstance(await caller.call(post(await serving(handle))), Retryable)


async def test_a_service_that_closes_idle_connections_is_called_again(caller: StepCaller, serving: Serving):
    async def handle(request: web.Request) -> web.Response:
        response = web.json_response({})
        response.force_close()
        return response

    url = await serving(handle)
    assert [await caller.call(post(url)) for _ in range(5)] == [Success({})] * 5


async def test_many_calls_at_once_get_their_own_answers(caller: StepCaller, serving: Serving):
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"path": request.path})

    url = await serving(handle)
    outcomes = await asyncio.gather(*(caller.call(get(f"{url}/{n}")) for n in range(64)))
    assert outcomes == [Success({"path": f"/{n}"}) for n in range(64)]


@pytest.mark.parametrize(
    "url",
    [
        "nope",
        "http:///p",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:abc/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        f"http://{'a' * 70}/",
        "http://a..b/",
    ],
)
async def test_a_url_that_leads_nowhere_is_an_outcome_and_no_exception(caller: StepCaller, url: str):
    outcome = await caller.call(post(url))
    assert isinstance(outcome, Failure | Retryable)

"""Both clients against a real HTTP server that plays the engine."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from contextlib import aclosing

import pytest
from aiohttp import web

from argyll.client import (
    ApprovalNeeded,
    AsyncClient,
    BadAnswer,
    Client,
    Conflict,
    FlowTimeout,
    NotFound,
    RetryPolicy,
    StepOwned,
    Stopped,
    Unavailable,
    Unreachable,
    WatchEvent,
    WatchState,
    calls,
)

FLOW = ("flow", "f")


class Engine:
    """Answers what it is told to, takes note of what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def app(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request):
        text = await request.text()
        self.asked.append((request.method, request.raw_path, json.loads(text) if text else None, dict(request.headers)))
        status, body, *headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(body, status=status, headers=headers[0] if headers else None)


@pytest.fixture(params=["async", "sync"])
async def client_of(request, no_sleep):
    """Builds a client; the blocking one runs in a thread behind the same awaitable methods."""
    made = []

    def build(base_url, **options):
        if request.param == "async":
            made.append(AsyncClient(base_url, sleep=no_sleep, entropy=lambda: 0.5, **options))
            return made[-1]
        return InThread(Client(base_url, sleep=no_sleep.waits.append, entropy=lambda: 0.5, **options))

    yield build
    for client in made:
        await client.close()


class InThread:
    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **kwargs):
            if inspect.isgeneratorfunction(method) or name in ("events", "catalog_events", "cluster_events"):
                return self._iterate(method, args, kwargs)
            return asyncio.to_thread(method, *args, **kwargs)

        return call

    async def _iterate(self, method, args, kwargs):
        for item in await asyncio.to_thread(lambda: list(method(*args, **kwargs))):
            yield item


async def test_a_call_carries_the_token_and_gives_the_json(serve, client_of):
    engine = Engine((200, {"id": "a"}))
    client = client_of(await serve(engine.app()), token="secret")
    assert await client.step("a") == {"id": "a"}
    method, path, body, headers = engine.asked[0]
    assert (method, path, body) == ("GET", "/engine/step/a", None)
    assert headers["Authorization"] == "Bearer secret"
    assert "Content-Type" not in headers


async def test_every_call_has_its_route(serve, client_of):
    engine = Engine((200, {"flow_id": "f", "status": "active", "flows": [], "steps": []}))
    client = client_of(await serve(engine.app()))
    for method, arguments in [
        ("health", ()), ("ready", ()), ("engine", ()), ("catalog", ()), ("cluster", ()), ("step_health", ()),
        ("steps", ()), ("step", ("s",)), ("register", ({"id": "s"},)), ("update", ({"id": "s"},)), ("unregister", ("s",)),
        ("health_of", ("s",)), ("plan", (["g"],)), ("start", ("f", ["g"])), ("flow", ("f",)), ("status", ("f",)),
        ("cancel", ("f",)), ("flows_page", ()),
    ]:  # fmt: skip
        await getattr(client, method)(*arguments)
    await client.apply_catalog([{"id": "s"}], owner="shop", revision="r1", expected_sequence=4, dry_run=True)
    assert [f"{method} {path}" for method, path, _, _ in engine.asked] == [
        "GET /health", "GET /ready", "GET /engine", "GET /engine/catalog", "GET /engine/cluster", "GET /engine/health",
        "GET /engine/step", "GET /engine/step/s", "POST /engine/step", "PUT /engine/step/s", "DELETE /engine/step/s",
        "GET /engine/health/s", "POST /engine/plan", "POST /engine/flow", "GET /engine/flow/f", "GET /engine/flow/f/status",
        "POST /engine/flow/f/cancel", "POST /engine/flow/query", "POST /engine/catalog/apply",
    ]  # fmt: skip
    assert engine.asked[-1][2] == {
        "owner": "shop", "revision": "r1", "expected_sequence": 4, "dry_run": True, "steps": [{"id": "s"}],
    }  # fmt: skip


async def test_every_call_about_sources_has_its_route(serve, client_of):
    engine = Engine((200, {"chunk": "c", "sources": [], "applies": [], "recorded": True}))
    client = client_of(await serve(engine.app()))
    await client.apply_revision({"source": "pay"})
    await client.apply_outcome("a1")
    assert await client.stage("a1", 0, [{"step": {}}]) == "c"
    await client.catalog_index()
    assert await client.sources() == []
    await client.source("pay")
    await client.configure_source("pay", {"dir": "/srv"})
    await client.delete_source("pay")
    assert await client.source_history("pay", 5) == []
    await client.decide_source("pay", "suspend", reason="freeze", until=None)
    await client.roll_back_source("pay", to="c1")
    assert await client.report_source("pay", {"type": "recovered"})
    assert [f"{method} {path}" for method, path, _, _ in engine.asked] == [
        "POST /engine/catalog/apply", "GET /engine/catalog/apply/a1", "PUT /engine/catalog/staging/a1/0",
        "GET /engine/catalog/index", "GET /engine/source", "GET /engine/source/pay", "PUT /engine/source/pay",
        "DELETE /engine/source/pay", "GET /engine/source/pay/history?limit=5", "POST /engine/source/pay/suspend",
        "POST /engine/source/pay/rollback", "POST /engine/source/pay/report",
    ]  # fmt: skip
    assert engine.asked[9][2] == {"reason": "freeze"}


@pytest.mark.parametrize(("status", "kind"), [(423, Stopped), (428, ApprovalNeeded)])
async def test_what_a_person_has_to_settle_is_an_exception_of_its_own(serve, client_of, status, kind):
    findings = [{"code": "B001", "plan_digest": "sha256:1"}]
    client = client_of(await serve(Engine((status, {"detail": "no", "errors": findings})).app()))
    with pytest.raises(kind) as raised:
        await client.apply_revision({"source": "pay"})
    assert getattr(raised.value, "plan_digest", "sha256:1") == "sha256:1"


def test_both_clients_offer_the_same():
    def public(kind):
        return {name: str(inspect.signature(member)).split(" ->")[0] for name, member in inspect.getmembers(kind)
                if callable(member) and not name.startswith("_")}  # fmt: skip

    assert public(Client) == public(AsyncClient)


async def test_a_refusal_is_the_exception_of_its_kind_and_not_retried(serve, client_of):
    engine = Engine((409, {"detail": "the step exists with other content"}))
    client = client_of(await serve(engine.app()))
    with pytest.raises(Conflict, match="other content"):
        await client.register({"id": "a"})
    assert len(engine.asked) == 1


OWNED = {"detail": "step 'a' is owned by 'git'", "errors": [{"code": "step_owned", "owner": "git"}]}


async def test_an_owned_step_is_an_exception_of_its_own_with_the_owner(serve, client_of):
    client = client_of(await serve(Engine((409, OWNED)).app()))
    with pytest.raises(StepOwned) as raised:
        await client.register({"id": "a"})
    assert raised.value.owner == "git"


async def test_the_reason_to_override_goes_along_as_a_header(serve, client_of):
    engine = Engine((200, {}))
    client = client_of(await serve(engine.app()))
    await client.register({"id": "a"}, override="fire")
    await client.update({"id": "a"}, override="fire")
    await client.unregister("a", override="fire")
    assert [headers["Argyll-Override"] for *_, headers in engine.asked] == ["fire"] * 3
    with pytest.raises(ValueError, match="one line"):
        await client.unregister("a", override="two\nlines")


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([(201, {"message": "Step registered"})], {"message": "Step registered"}),
        ([(409, {"detail": "exists"}), (200, {"message": "Step updated"})], {"message": "Step updated"}),
        ([(409, OWNED)], {"message": OWNED["detail"], "owned_by": "git"}),
        ([(409, {"detail": "exists"}), (409, OWNED)], {"message": OWNED["detail"], "owned_by": "git"}),
        ([(200, {"message": "left", "owned_by": "git"})], {"message": "left", "owned_by": "git"}),
    ],
)
async def test_a_service_may_ensure_its_step_whoever_owns_it(serve, client_of, answers, outcome):
    client = client_of(await serve(Engine(*answers).app()))
    assert await client.ensure({"id": "a"}) == outcome


async def test_a_busy_engine_is_asked_again_after_the_time_it_named(serve, client_of, no_sleep):
    engine = Engine((503, {"detail": "no leader"}, {"Retry-After": "2"}), (201, {"flow_id": "f-1"}))
    client = client_of(await serve(engine.app()))
    assert await client.start("F 1", "goal", {"items": [1]}) == "f-1"
    assert [body for _, _, body, _ in engine.asked] == [{"id": "F 1", "goals": ["goal"], "init": {"items": [[1]]}}] * 2
    assert no_sleep.waits == [pytest.approx(2.05)]


async def test_what_may_have_taken_effect_is_not_sent_twice(serve, client_of):
    engine = Engine((503, {"detail": "no quorum: the write may still commit"}))
    client = client_of(await serve(engine.app()))
    with pytest.raises(Unavailable, match="may still commit"):
        await client.unregister("a")
    assert len(engine.asked) == 1


async def test_an_engine_that_is_not_there_is_named_with_the_mend(client_of, no_sleep):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    client = client_of(f"http://127.0.0.1:{port}", retry=RetryPolicy(attempts=3))
    with pytest.raises(Unreachable, match=rf"http://127\.0\.0\.1:{port}/engine/step.*argyll serve") as caught:
        await client.register({"id": "a"})
    assert caught.value.sent is False
    assert len(no_sleep.waits) == 2


async def test_an_answer_too_slow_is_unreachable_and_says_it_may_have_run(serve, client_of):
    release = asyncio.Event()

    async def slow(request):
        await release.wait()
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/health", slow)
    client = client_of(await serve(app), timeout_s=0.05, retry=RetryPolicy(attempts=1))
    with pytest.raises(Unreachable, match="may have taken effect") as caught:
        await client.health()
    release.set()
    assert caught.value.sent is True


@pytest.mark.parametrize("body", ["[1]", "<html>", "7"])
async def test_something_that_is_no_engine_is_noticed(serve, client_of, body):
    async def other(request):
        return web.Response(text=body)

    app = web.Application()
    app.router.add_get("/health", other)
    client = client_of(await serve(app))
    with pytest.raises(BadAnswer, match="is that an Argyll engine"):
        await client.health()


async def test_an_answer_over_the_limit_is_not_read_to_its_end(serve, client_of, monkeypatch):
    monkeypatch.setattr(calls, "MAX_ANSWER_BYTES", 10)
    client = client_of(await serve(Engine((200, {"long": "x" * 20})).app()))
    with pytest.raises(BadAnswer, match="MAX_ANSWER_BYTES"):
        await client.health()


async def test_flows_are_read_page_by_page(serve, client_of):
    engine = Engine(
        (200, {"flows": [{"id": "a"}, {"id": "b"}], "next_cursor": "after-b", "has_more": True}),
        (200, {"flows": [{"id": "c"}]}),
    )
    client = client_of(await serve(engine.app()))
    found = [flow["id"] async for flow in client.flows(id_prefix="x", labels={"team": "crm"}, page_size=2)]
    assert found == ["a", "b", "c"]
    assert [body.get("cursor") for _, _, body, _ in engine.asked] == [None, "after-b"]


@pytest.mark.parametrize("pages", [True, False], ids=["paging server", "server that gives all at once"])
async def test_a_history_is_read_to_its_end_from_where_it_was_asked(serve, client_of, pages):
    async def history(request):
        start = int(request.query["from"]) if pages else 0
        events = [{"sequence": n} for n in range(start, min(start + 2, 5) if pages else 5)]
        more = {"next": start + 2} if start + 2 < 5 and pages else {}
        return web.json_response({"events": events, "count": len(events)} | more)

    app = web.Application()
    app.router.add_get("/engine/flow/f/events", history)
    client = client_of(await serve(app))
    assert [event["sequence"] async for event in client.events("f", 1)] == [1, 2, 3, 4]


class Hub:
    """The WebSocket of an engine with one flow of `history` events, that drops the line when told to."""

    def __init__(self, history, *, lines, late_reads=0):
        self.history = history
        self.lines = list(lines)
        self.subscribed = []
        self.reads = 0
        self.late_reads = late_reads

    def app(self):
        app = web.Application()
        app.router.add_get("/engine/ws", self.talk)
        app.router.add_get("/engine/flow/f", self.flow)
        app.router.add_get("/engine/flow/f/status", self.status)
        return app

    async def flow(self, request):
        self.reads += 1
        return web.json_response({"id": "f", "status": "active" if self.reads <= self.late_reads else "completed"})

    async def status(self, request):
        return web.json_response({"id": "f", "status": "active"})

    async def talk(self, request):
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, int) and line >= 400:
            return web.json_response({"detail": "no"}, status=line)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for frame in socket:
            data = json.loads(frame.data)["data"]
            self.subscribed.append(data)
            start = data.get("from_sequence", 0)
            items = []
            if data.get("include_state"):
                items = [{"id": ["flow", "f"], "data": {"status": "active"}, "sequence": start}]
            await socket.send_json({"type": "subscribed", "sub_id": data["sub_id"], "items": items})
            for sequence, kind in list(enumerate(self.history))[start : start + line]:
                await socket.send_json(
                    {"type": kind, "sub_id": data["sub_id"], "id": ["flow", "f"], "data": {}, "timestamp": 5, "sequence": sequence}
                )  # fmt: skip
            if start + line < len(self.history):
                await socket.close(code=1013)
        return socket


HISTORY = ["flow_started", "step_started", "step_completed", "flow_completed", "flow_deactivated"]


async def test_a_watch_outlives_the_line_and_tells_each_event_once(serve, no_sleep):
    hub = Hub(HISTORY, lines=[2, 503, 1, 99])
    seen, line = [], []
    async with (
        AsyncClient(await serve(hub.app()), sleep=no_sleep, entropy=lambda: 0.5) as client,
        aclosing(client.watch(FLOW, include_state=True, on_connection=line.append)) as changes,
    ):
        async for change in changes:
            seen.append(change)
            if len(seen) == 6:
                break
    assert isinstance(seen[0], WatchState)
    assert [(change.sequence, change.type) for change in seen[1:]] == list(enumerate(HISTORY))
    assert seen[1] == WatchEvent("flow_started", FLOW, {}, 5, 0)
    assert [data.get("from_sequence") for data in hub.subscribed] == [None, 2, 3]
    assert line == [True, False] * 3


async def test_the_blocking_watch_is_the_same(serve):
    hub = Hub(HISTORY, lines=[2, 99])
    url = await serve(hub.app())

    def watch():
        seen = []
        for change in Client(url, retry=RetryPolicy(base_s=0.001)).watch(FLOW, from_sequence=0):
            seen.append(change.sequence)
            if len(seen) == len(HISTORY):
                return seen
        return seen

    assert await asyncio.to_thread(watch) == [0, 1, 2, 3, 4]


async def test_a_watch_that_never_connects_gives_up(no_sleep):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    async with AsyncClient(f"http://127.0.0.1:{port}", sleep=no_sleep, retry=RetryPolicy(attempts=3)) as client:
        with pytest.raises(Unreachable, match="/engine/ws"):
            await anext(client.watch(FLOW))
    assert len(no_sleep.waits) == 2


async def test_a_watch_that_is_not_allowed_says_so_at_once(serve, no_sleep):
    hub = Hub(HISTORY, lines=[404])
    async with AsyncClient(await serve(hub.app()), sleep=no_sleep) as client:
        with pytest.raises(NotFound):
            await anext(client.watch(FLOW))
    assert no_sleep.waits == []


async def test_waiting_for_a_flow_gives_its_state_when_it_has_ended(serve, client_of):
    hub = Hub(HISTORY, lines=[1, 99], late_reads=2)
    client = client_of(await serve(hub.app()), retry=RetryPolicy(base_s=0.001))
    assert await client.wait("f", timeout_s=30) == {"id": "f", "status": "completed"}


async def test_waiting_ends_with_the_time_given(serve, client_of):
    hub = Hub(HISTORY[:1], lines=[99])
    client = client_of(await serve(hub.app()))
    with pytest.raises(FlowTimeout, match=r"flow f has not ended within 0\.05 s"):
        await client.wait("f", timeout_s=0.05)

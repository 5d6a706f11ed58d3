"""A step service as the engine sees it, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from argyll.client import RetryPolicy
from argyll.client.service import AlreadyAnswered, AsyncContext, Context, DeliveryFailed, StepError, StepService


@dataclass
class Answered:
    status: int
    type: str
    json: object
    headers: object


def identity(token="t-1", webhook=None):
    headers = {"Argyll-Flow-ID": "f", "Argyll-Step-ID": "s", "Argyll-Receipt-Token": token}
    return headers | ({"Argyll-Webhook-URL": webhook} if webhook else {})


@pytest.fixture
async def call():
    """Starts services on free ports and calls them."""
    started = {}
    async with aiohttp.ClientSession() as session:

        async def send(service, path, json=None, *, method="POST", headers=None, data=None):
            if service not in started:
                started[service] = await service.start(port=0)
            async with session.request(
                method, started[service] + path, json=json, data=data, headers=headers
            ) as response:
                body = await response.json(content_type=None) if await response.read() else None
                return Answered(response.status, response.content_type, body, response.headers)

        yield send
    for service in started:
        await service.stop()


class Webhook:
    """The engine's side of async results; answers the given statuses in turn, then 200."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.posts = []
        self.delivered = asyncio.Event()

    async def url(self, serve):
        app = web.Application()
        app.router.add_post("/webhook/f/s/t", self.receive)
        return await serve(app) + "/webhook/f/s/t"

    async def receive(self, request):
        self.posts.append((request.content_type, await request.json()))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.delivered.set()
        return web.Response(status=status)


def service_with(no_sleep=None, **options):
    return StepService("test", **({"sleep": no_sleep, "entropy": lambda: 0.5} if no_sleep else {}), **options)


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_handler_gets_its_inputs_and_gives_its_outputs(call, kind):
    service = service_with()
    where = []

    def handler(ctx: Context, name: str, times: int = 2) -> dict[str, str]:
        where.append(threading.current_thread() is threading.main_thread())
        return {"greeting": f"{name}" * times, "token": ctx.receipt_token, "flow": ctx.flow_id}

    async def coroutine(ctx: Context, name: str, times: int = 2) -> dict[str, str]:
        return handler(ctx, name, times)

    service.step(id="greet", outputs={"greeting": str})(coroutine if kind == "coroutine" else handler)
    answer = await call(service, "/greet", {"name": "ab"}, headers=identity())
    assert (answer.status, answer.json) == (200, {"greeting": "abab", "token": "t-1", "flow": "f"})
    assert where == [kind == "coroutine"]


async def test_a_get_takes_its_inputs_from_the_path(call):
    service = service_with()

    @service.step(method="GET", path="/customers/{customer_id}")
    def lookup(customer_id: str) -> dict[str, str]:
        return {"customer": customer_id}

    answer = await call(service, "/customers/c%2F1", method="GET")
    assert answer.json == {"customer": "c/1"}


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (StepError(404, "no such customer"), 404, "no such customer"),
        (StepError(503, "busy", retry_after_s=2), 503, "busy"),
        (KeyError("x"), 500, "unhandled KeyError in the handler of step fail: 'x'"),
    ],
)
async def test_what_a_handler_raises_is_a_problem_document(call, error, status, detail):
    service = service_with()

    @service.step()
    async def fail() -> None:
        raise error

    answer = await call(service, "/fail", {})
    assert (answer.status, answer.type) == (status, "application/problem+json")
    assert answer.json["detail"] == detail
    assert answer.json["status"] == status
    assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)


async def test_a_handler_that_returns_no_mapping_is_told_so(call):
    service = service_with()
    service.step(id="odd")(lambda: 7)
    answer = await call(service, "/odd", {})
    assert answer.status == 500
    assert "return a mapping of outputs" in answer.json["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"7"])
async def test_a_body_that_is_no_object_is_a_400(call, body):
    service = service_with()
    service.step(id="any")(lambda: None)
    answer = await call(service, "/any", data=body)
    assert (answer.status, answer.type) == (400, "application/problem+json")


async def test_a_body_over_the_limit_is_a_413_that_names_it(call):
    service = service_with(max_request_bytes=10)
    service.step(id="any")(lambda: None)
    answer = await call(service, "/any", {"long": "x" * 20})
    assert answer.status == 413
    assert "max_request_bytes=10" in answer.json["detail"]


async def test_more_calls_than_the_limit_are_sent_away_with_a_time_to_come_back(call):
    service = service_with(max_in_flight=1)
    entered, leave = asyncio.Event(), asyncio.Event()

    @service.step()
    async def slow() -> None:
        entered.set()
        await leave.wait()

    first = asyncio.create_task(call(service, "/slow", {}))
    await entered.wait()
    turned_away = await call(service, "/slow", {})
    leave.set()
    assert (turned_away.status, turned_away.headers["Retry-After"]) == (503, "1")
    assert "max_in_flight=1" in turned_away.json["detail"]
    assert (await first).status == 200


async def test_health_names_the_service_and_its_steps(call):
    service = service_with()
    service.step(id="any")(lambda: None)
    answer = await call(service, "/health", method="GET")
    assert answer.json == {"status": "healthy", "service": "test", "steps": ["any"]}


async def test_a_repeated_token_is_answered_without_running_again(call):
    service = service_with()
    runs = []

    @service.step()
    def count() -> dict[str, int]:
        runs.append(1)
        return {"runs": len(runs)}

    answers = [await call(service, "/count", {}, headers=identity(token)) for token in ("a", "a", "b")]
    assert [answer.json["runs"] for answer in answers] == [1, 1, 2]
    assert [(await call(service, "/count", {})).json["runs"] for _ in range(2)] == [3, 4]


async def test_a_repeat_during_the_first_call_waits_and_shares_its_answer(call):
    service = service_with()
    entered, leave, runs = asyncio.Event(), asyncio.Event(), []

    @service.step()
    async def slow() -> dict[str, int]:
        runs.append(1)
        entered.set()
        await leave.wait()
        return {"runs": len(runs)}

    first = asyncio.create_task(call(service, "/slow", {}, headers=identity()))
    await entered.wait()
    second = asyncio.create_task(call(service, "/slow", {}, headers=identity()))
    leave.set()
    assert [answer.json for answer in await asyncio.gather(first, second)] == [{"runs": 1}, {"runs": 1}]


async def test_a_retry_after_a_retryable_answer_runs_again(call):
    service = service_with()
    runs = []

    @service.step()
    def flaky() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise StepError(503, "not now")

    assert [(await call(service, "/flaky", {}, headers=identity())).status for _ in range(3)] == [503, 200, 200]
    assert len(runs) == 2


async def test_compensation_undoes_once_and_answers_204(call):
    service = service_with()
    undone = []

    def undo(inputs: dict[str, str], outputs: dict[str, str]) -> None:
        undone.append((inputs, outputs))

    service.step(id="reserve", compensate=undo)(lambda: None)
    body = {"input": {"sku": "a"}, "output": {"id": "r-1"}}
    # The receipt of the call itself must not stand in for that of its undoing: the token is the same.
    await call(service, "/reserve", {}, headers=identity())
    answers = [await call(service, "/reserve/compensate", body, headers=identity()) for _ in range(2)]
    assert [answer.status for answer in answers] == [204, 204]
    assert undone == [({"sku": "a"}, {"id": "r-1"})]


async def test_compensation_without_outputs_or_with_an_error(call):
    service = service_with()

    def undo(inputs: dict[str, str], outputs: dict[str, str]) -> None:
        assert outputs == {}
        raise StepError(409, "sold already")

    service.step(id="reserve", compensate=undo)(lambda: None)
    answer = await call(service, "/reserve/compensate", {"input": {}, "output": None})
    assert (answer.status, answer.json["detail"]) == (409, "sold already")


async def test_an_async_step_is_accepted_and_its_result_comes_by_webhook(call, serve, no_sleep):
    hook, service = Webhook(), service_with(no_sleep)
    work = asyncio.Event()

    @service.step(asynchronous=True)
    async def pay(ctx: AsyncContext, total: float) -> dict[str, object]:
        await work.wait()
        return {"paid": total, "by": ctx.receipt_token}

    answer = await call(service, "/pay", {"total": 5}, headers=identity(webhook=await hook.url(serve)))
    assert (answer.status, hook.posts) == (202, [])
    work.set()
    await hook.delivered.wait()
    assert hook.posts == [("application/json", {"paid": 5.0, "by": "t-1"})]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (StepError(402, "card declined"), "card declined"),
        (ValueError("x"), "unhandled ValueError in the handler of step pay: x"),
    ],
)
async def test_what_an_async_handler_raises_fails_the_work_by_webhook(call, serve, error, detail):
    hook, service = Webhook(), service_with()

    @service.step(asynchronous=True)
    def pay() -> None:
        raise error

    await call(service, "/pay", {}, headers=identity(webhook=await hook.url(serve)))
    await hook.delivered.wait()
    ((content_type, problem),) = hook.posts
    assert content_type == "application/problem+json"
    assert problem["detail"] == detail


async def test_delivery_is_tried_until_the_engine_has_it(call, serve, no_sleep):
    hook, service = Webhook(503, 500, 429), service_with(no_sleep)

    @service.step(asynchronous=True)
    async def pay(ctx: AsyncContext) -> None:
        await ctx.complete({"paid": True})

    await call(service, "/pay", {}, headers=identity(webhook=await hook.url(serve)))
    await hook.delivered.wait()
    assert hook.posts == [("application/json", {"paid": True})] * 4
    assert no_sleep.waits == [0.1, 0.2, 0.4]


async def test_a_result_that_was_not_delivered_is_offered_when_the_engine_calls_again(call, serve, no_sleep, caplog):
    hook, service = Webhook(503, 503), service_with(no_sleep, delivery=RetryPolicy(attempts=2))
    runs, gave_up = [], asyncio.Event()

    @service.step(asynchronous=True)
    async def pay(ctx: AsyncContext) -> None:
        runs.append(1)
        try:
            await ctx.complete({"paid": True})
        finally:
            gave_up.set()

    headers = identity(webhook=await hook.url(serve))
    await call(service, "/pay", {}, headers=headers)
    await gave_up.wait()
    assert not hook.delivered.is_set()
    again = await call(service, "/pay", {}, headers=headers)
    await hook.delivered.wait()
    assert again.status == 202
    assert len(runs) == 1
    assert "result not delivered after 2 attempts" in caplog.text


async def test_a_result_the_engine_refuses_for_good_is_not_sent_again(call, serve, no_sleep):
    hook, service = Webhook(400), service_with(no_sleep)
    failed = asyncio.get_running_loop().create_future()

    @service.step(asynchronous=True)
    async def pay(ctx: AsyncContext) -> None:
        try:
            await ctx.complete()
        except DeliveryFailed as error:
            failed.set_result(error)

    await call(service, "/pay", {}, headers=identity(webhook=await hook.url(serve)))
    assert "400 Bad Request" in str(await failed)
    assert len(hook.posts) == 1


async def test_there_is_one_result(call, serve):
    hook, service = Webhook(), service_with()
    second = asyncio.get_running_loop().create_future()

    @service.step(asynchronous=True)
    async def pay(ctx: AsyncContext) -> dict[str, bool]:
        await ctx.complete({"paid": True})
        try:
            await ctx.fail("no")
        except AlreadyAnswered as error:
            second.set_result(error)
        return {"paid": False}

    await call(service, "/pay", {}, headers=identity(webhook=await hook.url(serve)))
    assert "the outputs" in str(await second)
    await service.stop()
    assert hook.posts == [("application/json", {"paid": True})]


async def test_accept_can_refuse_the_call_before_it_is_answered(call, serve):
    hook, service = Webhook(), service_with()
    refusals = [StepError(503, "the bank is busy"), None]

    async def bank_is_open(total: float) -> None:
        if (refusal := refusals.pop(0)) is not None:
            raise refusal

    @service.step(asynchronous=True, accept=bank_is_open)
    async def pay(total: float) -> dict[str, float]:
        return {"paid": total}

    headers = identity(webhook=await hook.url(serve))
    assert [(await call(service, "/pay", {"total": 1}, headers=headers)).status for _ in range(3)] == [503, 202, 202]
    await hook.delivered.wait()
    assert hook.posts == [("application/json", {"paid": 1.0})]


async def test_an_async_step_called_like_a_sync_one_says_what_is_wrong(call):
    service = service_with()
    service.step(id="pay", asynchronous=True)(lambda: None)
    answer = await call(service, "/pay", {}, headers=identity())
    assert answer.status == 400
    assert "Argyll-Webhook-URL" in answer.json["detail"]


async def test_stopping_waits_for_work_under_way(call, serve):
    hook, service = Webhook(), service_with()
    entered, leave = asyncio.Event(), asyncio.Event()

    @service.step(asynchronous=True)
    async def pay() -> dict[str, bool]:
        entered.set()
        await leave.wait()
        return {"paid": True}

    await call(service, "/pay", {}, headers=identity(webhook=await hook.url(serve)))
    await entered.wait()
    stopping = asyncio.create_task(service.stop())
    await asyncio.sleep(0)
    leave.set()
    await stopping
    assert hook.posts == [("application/json", {"paid": True})]


async def test_stopping_does_not_wait_for_ever(call, serve, caplog):
    hook, service = Webhook(), service_with(drain_s=0.01)
    never = asyncio.Event()

    @service.step(asynchronous=True)
    async def pay() -> None:
        await never.wait()

    await call(service, "/pay", {}, headers=identity(webhook=await hook.url(serve)))
    await service.stop()
    assert "stops before step pay, token t-1 is done" in caplog.text


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind(call):
    first, second = service_with(), service_with()
    await call(first, "/health", method="GET")
    port = int(first.base_url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="address already in use"):
        await second.start(port=port)
    assert (await call(second, "/health", method="GET")).status == 200

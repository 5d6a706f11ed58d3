"""The HTTP side of a `StepService`: one route per step, one per compensation, and `/health`.

Turns a request into a call of the handler and the outcome into an answer, once per receipt token. Knows no domain.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import aiohttp
import msgspec
from aiohttp import web

from argyll.client.service.context import (
    FLOW_HEADER,
    STEP_HEADER,
    TOKEN_HEADER,
    WEBHOOK_HEADER,
    AsyncContext,
    Context,
    Courier,
    DeliveryFailed,
)
from argyll.client.service.problem import Answer, StepError, json_answer, problem_answer
from argyll.client.service.receipts import ReceiptBook
from argyll.model.json import decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping

    from argyll.client.service.definition import Handler, StepSpec
    from argyll.client.service.service import StepService
    from argyll.model.json import JSON

logger = logging.getLogger("argyll.service")

BUSY_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class _Receipt:
    """What a work item was answered, and for async steps the context that carries its result."""

    answer: Answer
    context: AsyncContext | None = None

    @property
    def final(self) -> bool:
        return self.answer.final


class Server:
    """One running server of a service."""

    def __init__(self, service: StepService) -> None:
        self._service = service
        self._receipts: ReceiptBook[_Receipt] = ReceiptBook(service.receipts)
        self._pool = ThreadPoolExecutor(service.threads, thread_name_prefix=f"argyll-{service.name}")
        self._calls = 0
        self._background: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self, host: str, port: int) -> str:
        app = web.Application(client_max_size=self._service.max_request_bytes)
        app.router.add_get("/health", self._health)
        for spec in self._service.specs:
            app.router.add_route(spec.method, spec.path, functools.partial(self._run_route, spec))
            if spec.compensate is not None:
                route = functools.partial(self._compensate_route, spec, spec.compensate)
                app.router.add_post(spec.compensate_path, route)
        self._session = aiohttp.ClientSession()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=self._service.drain_s)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            await self._session.close()
            raise
        self._runner = runner
        bound_port: int = runner.addresses[0][1]
        return f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=self._service.drain_s)
            for task in late:
                logger.warning("service %s stops before %s is done", self._service.name, task.get_name())
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # Routes

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return _response(
            json_answer(
                200,
                {
                    "status": "healthy",
                    "service": self._service.name,
                    "steps": [spec.id for spec in self._service.specs],
                },
            )
        )

    async def _run_route(self, spec: StepSpec, request: web.Request) -> web.Response:
        async def run() -> _Receipt:
            try:
                body = {} if spec.method == "GET" else await _object(request)
                arguments = spec.arguments(body, request.match_info)
                if spec.asynchronous:
                    return await self._accept(spec, arguments, request)
                return _Receipt(await self._run_sync(spec, arguments, request))
            except StepError as error:
                return _Receipt(problem_answer(error))

        receipt = await self._once(spec, "run", request, run)
        context = receipt.context
        if context is not None and WEBHOOK_HEADER in request.headers:
            # A repeated call may come from another node, with another address to answer to.
            context.webhook_url = request.headers[WEBHOOK_HEADER]
            if context.answered and not context.delivered:
                self._spawn(self._redeliver(context), f"delivery for {spec.id}")
        return _response(receipt.answer)

    async def _compensate_route(self, spec: StepSpec, compensate: Handler, request: web.Request) -> web.Response:
        async def run() -> _Receipt:
            try:
                body = await _object(request)
                await self._call(compensate, {"inputs": body.get("input") or {}, "outputs": body.get("output") or {}})
                return _Receipt(Answer(204))
            except StepError as error:
                return _Receipt(problem_answer(error))
            except Exception as error:  # noqa: BLE001 - whatever user code raises becomes an answer
                return _Receipt(problem_answer(_unhandled(spec, error)))

        return _response((await self._once(spec, "compensate", request, run)).answer)

    async def _once(
        self, spec: StepSpec, kind: str, request: web.Request, run: Callable[[], Awaitable[_Receipt]]
    ) -> _Receipt:
        if self._calls + len(self._background) >= self._service.max_in_flight:
            busy = StepError(
                503,
                f"service {self._service.name} is at max_in_flight={self._service.max_in_flight}",
                retry_after_s=BUSY_RETRY_AFTER_S,
            )
            return _Receipt(problem_answer(busy))
        token = request.headers.get(TOKEN_HEADER)
        with self._counted():
            if token is None:
                return await run()
            return await self._receipts.once((spec.id, kind, token), run)

    @contextmanager
    def _counted(self) -> Generator[None]:
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    # Handlers

    async def _run_sync(self, spec: StepSpec, arguments: dict[str, JSON], request: web.Request) -> Answer:
        if spec.context is not None:
            arguments[spec.context] = Context(*_identity(spec, request))
        try:
            return json_answer(200, _outputs(spec, await self._call(spec.run, arguments)))
        except StepError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever user code raises becomes an answer
            return problem_answer(_unhandled(spec, error))

    async def _accept(self, spec: StepSpec, arguments: dict[str, JSON], request: web.Request) -> _Receipt:
        webhook_url = request.headers.get(WEBHOOK_HEADER)
        if webhook_url is None or self._session is None:
            raise StepError(400, f"no {WEBHOOK_HEADER} header: register step {spec.id} with `type: async`")
        courier = Courier(
            self._session,
            retry=self._service.delivery,
            sleep=self._service.sleep,
            entropy=self._service.entropy,
        )
        context = AsyncContext(*_identity(spec, request), webhook_url, courier)
        if spec.context is not None:
            arguments[spec.context] = context
        if spec.accept is not None:
            try:
                await self._call(spec.accept, arguments)
            except StepError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever user code raises becomes an answer
                return _Receipt(problem_answer(_unhandled(spec, error)))
        self._spawn(self._run_async(spec, arguments, context), f"step {spec.id}, token {context.receipt_token}")
        return _Receipt(json_answer(202, {}), context)

    async def _run_async(self, spec: StepSpec, arguments: dict[str, JSON], context: AsyncContext) -> None:
        try:
            outputs = await self._call(spec.run, arguments)
            if outputs is not None and not context.answered:
                await context.complete(_outputs(spec, outputs))
        except DeliveryFailed as failure:
            logger.error("step %s, token %s: %s", spec.id, context.receipt_token, failure)
        except Exception as error:  # noqa: BLE001 - whatever user code raises becomes the result
            failure = error if isinstance(error, StepError) else _unhandled(spec, error)
            if context.answered:
                logger.warning("step %s failed after its result was given: %s", spec.id, failure)
                return
            await self._fail(context, failure)

    async def _fail(self, context: AsyncContext, failure: StepError) -> None:
        try:
            await context.fail(failure.detail, status=failure.status)
        except DeliveryFailed as problem:
            logger.error("step %s, token %s: %s", context.step_id, context.receipt_token, problem)

    async def _redeliver(self, context: AsyncContext) -> None:
        try:
            await context.redeliver()
        except DeliveryFailed as problem:
            logger.error("step %s, token %s: %s", context.step_id, context.receipt_token, problem)

    async def _call(self, function: Handler, arguments: Mapping[str, JSON]) -> JSON:
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        call = functools.partial(function, **arguments)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _identity(spec: StepSpec, request: web.Request) -> tuple[str, str, str]:
    headers = request.headers
    return headers.get(FLOW_HEADER, ""), headers.get(STEP_HEADER, spec.id), headers.get(TOKEN_HEADER, "")


def _outputs(spec: StepSpec, returned: JSON) -> dict[str, JSON]:
    outputs: JSON = msgspec.to_builtins({} if returned is None else returned)
    if not isinstance(outputs, dict):
        raise TypeError(
            f"handler of {spec.id} returned {type(returned).__name__}: return a mapping of outputs, or None"
        )
    return cast("dict[str, JSON]", outputs)


def _unhandled(spec: StepSpec, error: Exception) -> StepError:
    logger.error("step %s: unhandled %s", spec.id, type(error).__name__, exc_info=error)
    return StepError(500, f"unhandled {type(error).__name__} in the handler of step {spec.id}: {error}")


async def _object(request: web.Request) -> dict[str, JSON]:
    try:
        text = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise StepError(413, f"the body is larger than max_request_bytes={request.client_max_size}") from None
    try:
        body: JSON = decode(text)
    except msgspec.DecodeError as problem:
        raise StepError(400, f"the body is no JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise StepError(400, "the body is no JSON object: send the inputs by name")
    return cast("dict[str, JSON]", body)


def _response(answer: Answer) -> web.Response:
    headers = {} if answer.retry_after_s is None else {"Retry-After": f"{answer.retry_after_s:g}"}
    if answer.status == 204:
        return web.Response(status=204, headers=headers)
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type, headers=headers)

"""`StepService`: functions in, step endpoints out.

Registers handlers, starts and stops the server, and gives the step definitions. How one call runs is in `serving`.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import signal
from typing import TYPE_CHECKING, TypeVar

from argyll.client.service.context import DELIVERY_RETRY
from argyll.client.service.definition import (
    DefinitionError,
    StepSpec,
    check,
    derive_inputs,
    derive_outputs,
)
from argyll.client.service.receipts import DEFAULT_CAPACITY
from argyll.model.wire import step_from_json, step_to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from argyll.client.api import AsyncClient
    from argyll.client.retry import RetryPolicy
    from argyll.client.service.definition import Handler, Outputs
    from argyll.client.service.serving import Server
    from argyll.model.json import JSON

H = TypeVar("H", bound="Handler")

DEFAULT_PORT = 8081
DEFAULT_THREADS = 16
"""Sync handlers that run at once; more wait."""

MAX_IN_FLIGHT = 1024
"""Calls and background work of async steps at once; more are answered 503 with Retry-After."""

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""The largest request body; a larger one is answered 413."""

DRAIN_S = 10.0
"""How long stopping waits for work under way."""


class StepService:
    """A group of steps served by one process.

    >>> service = StepService("shop")
    >>> @service.step(outputs={"greeting": str})
    ... def greet(name: str) -> dict[str, str]:
    ...     \"\"\"Greet somebody\"\"\"
    ...     return {"greeting": f"Hello, {name}"}
    >>> service.run(port=8081)  # doctest: +SKIP

    A call repeated with the same receipt token is answered from memory (`receipts` answers are kept). Sync functions
    run in a pool of `threads`. `sleep` and `entropy` (numbers in [0, 1)) pace the delivery of async results.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int = DEFAULT_THREADS,
        receipts: int = DEFAULT_CAPACITY,
        max_in_flight: int = MAX_IN_FLIGHT,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        drain_s: float = DRAIN_S,
        delivery: RetryPolicy = DELIVERY_RETRY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        entropy: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.threads = threads
        self.receipts = receipts
        self.max_in_flight = max_in_flight
        self.max_request_bytes = max_request_bytes
        self.drain_s = drain_s
        self.delivery = delivery
        self.sleep = sleep
        self.entropy = entropy
        self._specs: dict[str, StepSpec] = {}
        self._server: Server | None = None
        self._base_url = ""

    @property
    def specs(self) -> tuple[StepSpec, ...]:
        """The steps, in the order they were declared."""
        return tuple(self._specs.values())

    @property
    def base_url(self) -> str:
        """Where the running service is served, as `start` gave it; empty before the first start."""
        return self._base_url

    def step(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the field's own name
        name: str | None = None,
        outputs: Outputs | None = None,
        path: str | None = None,
        method: str = "POST",
        asynchronous: bool = False,
        for_each: Sequence[str] = (),
        attributes: Mapping[str, Mapping[str, JSON]] | None = None,
        accept: Handler | None = None,
        compensate: Handler | None = None,
        compensate_path: str | None = None,
        **settings: JSON,
    ) -> Callable[[H], H]:
        """Makes the decorated function the handler of a step.

        Parameters become attributes: the hint gives the type, a default makes it optional. A parameter hinted `Context`
        (`AsyncContext` for an asynchronous step) receives the work item's identity instead. The function returns the
        outputs as a mapping (or None), or raises `StepError`. The id defaults to the function's name, the name to the
        first line of its docstring, the path to `/{id}`; `{input}` in a path takes that input from it.

        `for_each`: inputs the engine spreads over, each call getting one element. `attributes`: settings added to a
        derived attribute (`match`, `deadline`, `role: meta`, ...).
        `asynchronous`: the call is answered 202 and the function runs on; what it returns or raises goes to the webhook
        unless `ctx.complete` or `ctx.fail` came first. `accept`, with the same parameters, runs before the 202: a
        `StepError` from it refuses the call.
        `compensate(inputs, outputs)`: undoes a success, served at `compensate_path` (default `{path}/compensate`).
        `settings`: `timeout_ms`, `labels`, `predicate`, `work_config`, `memoizable`, as in a step file.
        """

        def declare(function: H) -> H:
            step_id = id or _called(function).replace("_", "-")
            if step_id in self._specs:
                raise DefinitionError(f"step {step_id} is declared twice in service {self.name}: give one another id")
            inputs, context = derive_inputs(step_id, function, for_each, asynchronous=asynchronous)
            served_at = path or f"/{step_id}"
            self._specs[step_id] = check(
                StepSpec(
                    id=step_id,
                    name=name or _title(function, step_id),
                    run=function,
                    method=method,
                    path=served_at,
                    asynchronous=asynchronous,
                    inputs=inputs,
                    context=context,
                    outputs=derive_outputs(step_id, outputs or {}),
                    accept=accept,
                    compensate=compensate,
                    compensate_path=compensate_path or f"{served_at}/compensate",
                    attributes=attributes or {},
                    settings=_known(step_id, settings),
                )
            )
            return function

        return declare

    def definitions(self, base_url: str) -> list[dict[str, JSON]]:
        """Every step as its YAML file would have it, served under `base_url`."""
        base = base_url.rstrip("/")
        return [spec.definition(base) for spec in self.specs]

    def api_definitions(self, base_url: str) -> list[dict[str, JSON]]:
        """The same in the API's spelling, for `AsyncClient.register` and `apply_catalog`: there, defaults are JSON text."""
        return [step_to_json(step_from_json(step, native=True)) for step in self.definitions(base_url)]

    async def register(self, client: AsyncClient) -> dict[str, str]:
        """Tells an engine of every step as it is served now. Call it after `start`.

        Returns what a source of the engine owns, by step id with the owner's name: those stay as the source has them,
        and the service serves on. Raises what `AsyncClient.ensure` does.
        """
        if not self._base_url:
            raise RuntimeError(f"service {self.name} is not served yet: start it first")
        owned: dict[str, str] = {}
        for definition in self.api_definitions(self._base_url):
            answer = await client.ensure(definition)
            if "owned_by" in answer:
                owned[definition["id"]] = answer["owned_by"]
        return owned

    async def start(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> str:
        """Serves in the running loop and returns the base URL. Port 0 takes a free one. Raises OSError if taken."""
        from argyll.client.service.serving import Server

        if self._server is not None:
            raise RuntimeError(f"service {self.name} is running already: stop it first")
        server = Server(self)
        self._base_url = await server.start(host, port)
        self._server = server
        return self._base_url

    async def stop(self) -> None:
        """Takes no more calls, waits up to `drain_s` for work under way, then cancels the rest."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    def run(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Serves until SIGINT or SIGTERM. `on_ready` hears the base URL once calls are taken."""

        async def serve() -> None:
            stopping = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stopping.set)
            base_url = await self.start(host, port)
            try:
                if on_ready is not None:
                    on_ready(base_url)
                await stopping.wait()
            finally:
                await self.stop()

        asyncio.run(serve())


_SETTINGS = ("timeout_ms", "labels", "predicate", "work_config", "memoizable")


def _known(step_id: str, settings: Mapping[str, JSON]) -> Mapping[str, JSON]:
    if unknown := sorted(set(settings) - set(_SETTINGS)):
        raise DefinitionError(f"step {step_id}: unknown settings {unknown}: known are {_SETTINGS}")
    return {key: value for key, value in settings.items() if value is not None}


def _called(function: Handler) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _title(function: Handler, step_id: str) -> str:
    text = inspect.getdoc(function) or ""
    first_line = text.split("\n", 1)[0].strip().rstrip(".")
    return first_line or step_id.replace("-", " ").capitalize()

"""A real `argyll serve`, started, killed and restarted by tests, and step services that answer as told."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from argyll.model import json

READY = re.compile(r"ready at (http://\S+)")
START_S = 60
WAIT_S = 30


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Heard(NamedTuple):
    """A request that a stub got."""

    method: str
    path: str
    headers: Any
    body: Any

    @property
    def token(self) -> str:
        return self.headers["Argyll-Receipt-Token"]


Answer = int | str | dict[str, Any]
"""A status, a text that a 503 gives as its problem, or outputs."""


def response(answer: Answer) -> web.Response:
    if isinstance(answer, str):
        return web.json_response({"detail": answer}, status=503, content_type="application/problem+json")
    if isinstance(answer, int):
        return web.Response(status=answer)
    return web.json_response(answer)


class Stub:
    """Step services in this process, one a path. `answers` queues answers (the last one stays), `on` sets a handler."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[Heard] = []
        self._handlers: dict[str, Callable[[Heard], Awaitable[web.Response]]] = {}
        self._changed = asyncio.Condition()

    def answers(self, path: str, *answers: Answer) -> None:
        queue = list(answers)

        async def answer(heard: Heard) -> web.Response:
            return response(queue.pop(0) if len(queue) > 1 else queue[0])

        self._handlers[path] = answer

    def on(self, path: str, handler: Callable[[Heard], Awaitable[web.Response]]) -> None:
        self._handlers[path] = handler

    def of(self, path: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.path == path]

    async def called(self, path: str, times: int = 1) -> list[Heard]:
        """The calls of a path, once there are that many."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.of(path)) >= times)
        return self.of(path)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        text = await request.read()
        heard = Heard(request.method, request.path, request.headers, json.decode(text) if text else None)
        async with self._changed:
            self.heard.append(heard)
            self._changed.notify_all()
        handler = self._handlers.get(request.path)
        return web.Response(status=404) if handler is None else await handler(heard)


@asynccontextmanager
async def stub_services() -> AsyncIterator[Stub]:
    """Step services on a free port for as long as the block lasts."""
    stub = Stub()
    runner = web.ServerRunner(web.Server(stub.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    stub.url = f"http://{host}:{port}"
    yield stub
    await runner.cleanup()


class Argyll:
    """One `argyll serve` on a data directory and a port that stay the same over restarts."""

    def __init__(self, directory: Path, session: aiohttp.ClientSession, **environment: str) -> None:
        self.directory, self.session, self.port = directory, session, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARGYLL", "API_", "RAFT_"))}
        self._environment = {**kept, "RETRY_INITIAL_BACKOFF": "20", "RETRY_MAX_BACKOFF": "200", **environment}
        self.process: asyncio.subprocess.Process | None = None
        self.log = directory.parent / f"{directory.name}.log"

    async def spawn(self, *options: str) -> asyncio.subprocess.Process:
        """The bare process, its stderr in `log`."""
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "argyll", "serve", "--port", str(self.port), "--data-dir", str(self.directory),
                *options, stdout=asyncio.subprocess.PIPE, stderr=log, env=self._environment,
            )  # fmt: skip

    async def start(self) -> None:
        """Start and wait until it says that it is ready."""
        assert self.process is None
        self.process = await self.spawn()
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await self.process.stdout.readline()).decode()
        found = READY.search(line)
        assert found, f"{line!r}\n{self.log.read_text()}"
        assert found[1] == self.url

    async def kill(self) -> None:
        """As a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """In order; gives the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ends()

    async def ends(self) -> int:
        """Wait until the process has ended, with all that it had started; gives the exit code."""
        process, self.process = self.process, None
        assert process is not None
        async with asyncio.timeout(START_S):
            await process.communicate()
        assert process.returncode is not None
        return process.returncode

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON of one request."""
        data = None if body is None else json.encode(body)
        url = path if path.startswith("http") else self.url + path
        async with self.session.request(method, url, data=data, **options) as answer:
            text = await answer.read()
            return answer.status, json.decode(text) if text else None

    async def register(self, *steps: dict[str, Any]) -> None:
        for step in steps:
            status, answer = await self.call("POST", "/engine/step", step)
            assert status == 201, answer

    async def start_flow(self, flow_id: str, *goals: str, **init: Any) -> None:
        status, answer = await self.call("POST", "/engine/flow", {"id": flow_id, "goals": goals, "init": init})
        assert status == 201, answer

    async def flow(self, flow_id: str) -> Any:
        status, state = await self.call("GET", f"/engine/flow/{flow_id}")
        assert status == 200, state
        return state

    async def events(self, flow_id: str) -> list[Any]:
        status, history = await self.call("GET", f"/engine/flow/{flow_id}/events")
        assert status == 200, history
        return history["events"]

    async def until(self, flow_id: str, event_type: str) -> list[Any]:
        """The flow's events up to the first of a type."""
        events: list[Any] = []
        async with asyncio.timeout(WAIT_S), self.session.ws_connect(f"{self.url}/engine/ws") as socket:
            data = {"sub_id": "w", "aggregate_ids": [["flow", flow_id]], "from_sequence": 0}
            await socket.send_str(json.text({"type": "subscribe", "data": data}))
            async for message in socket:
                heard = json.decode(message.data)
                if heard["type"] != "subscribed":
                    events.append(heard)
                if heard["type"] == event_type:
                    return events
        raise AssertionError(f"{flow_id}: no {event_type}")

    async def ended(self, flow_id: str) -> Any:
        """The flow's state once it is deactivated."""
        await self.until(flow_id, "flow_deactivated")
        return await self.flow(flow_id)


def value(state: Any, name: str) -> Any:
    """The first value of an attribute of a flow."""
    return state["attributes"][name][0]["value"]

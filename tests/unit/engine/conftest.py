"""Nodes on a store in memory or on disk, with step services that answer as a test says."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import Engine, EngineConfig
from argyll.engine.caller import Outcome, Request, Success
from argyll.model import json
from argyll.model.events import decode_payload
from argyll.store import Committed, Store, StoreOptions

Values = dict[str, Any]


def step(step_id: str, of: str = "sync", **fields: Any) -> Values:
    """A step as the API takes it. `needs` and `gives` are attribute names; `attributes` adds others."""
    attributes = {name: {"role": "required"} for name in fields.pop("needs", ())}
    attributes |= {name: {"role": "output"} for name in fields.pop("gives", ())}
    attributes |= fields.pop("attributes", {})
    made: Values = {"id": step_id, "name": step_id, "type": of, "attributes": attributes}
    if of in ("sync", "async"):
        made["http"] = {"endpoint": f"http://steps/{step_id}", **fields.pop("http", {})}
    if of == "script":
        made["script"] = {"language": fields.pop("language", "ale"), "script": fields.pop("script")}
    if of == "flow":
        made["flow"] = {"goals": fields.pop("goals")}
    return made | fields


class Services:
    """A step caller whose services are functions by step id; what has none waits until it is answered."""

    def __init__(self) -> None:
        self.calls: list[Request] = []
        self.handlers: dict[str, Callable[[Request], Awaitable[Outcome]]] = {}
        self._waiting: dict[str, list[asyncio.Future[Outcome]]] = {}
        self._called = asyncio.Condition()

    def answers(self, step_id: str, *outcomes: Outcome | Values) -> None:
        """The first calls get these answers in order, the last one is for all that follow."""
        queue = [Success(o) if isinstance(o, dict) else o for o in outcomes]

        async def answer(request: Request) -> Outcome:
            return queue.pop(0) if len(queue) > 1 else queue[0]

        self.handlers[step_id] = answer

    async def call(self, request: Request) -> Outcome:
        async with self._called:
            self.calls.append(request)
            self._called.notify_all()
        handler = self.handlers.get(request.identity.step_id)
        if handler is not None:
            return await handler(request)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request.identity.step_id, []).append(future)
        return await future

    def answer(self, step_id: str, outcome: Outcome | Values) -> None:
        """Answer the oldest call of a step that waits."""
        self._waiting[step_id].pop(0).set_result(Success(outcome) if isinstance(outcome, dict) else outcome)

    def of(self, step_id: str) -> list[Request]:
        return [call for call in self.calls if call.identity.step_id == step_id]

    async def called(self, step_id: str, times: int = 1) -> list[Request]:
        """The calls of a step, once there are that many."""
        async with asyncio.timeout(10), self._called:
            await self._called.wait_for(lambda: len(self.of(step_id)) >= times)
        await asyncio.sleep(0)
        return self.of(step_id)

    async def close(self) -> None:
        pass


class Node:
    """An engine with its services, and ways to see what was committed."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self.engine, self.services = engine, services
        self.commits: list[Committed] = []
        self._committed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        engine.listen(self._note)

    def _note(self, committed: Committed) -> None:
        self.commits.append(committed)
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._committed:
            self._committed.notify_all()

    async def register(self, *steps: Values) -> None:
        for one in steps:
            await self.engine.register_step(one)

    async def until_step(self, step_id: str) -> None:
        """Once this node knows a step that may have been registered on another."""
        await self.until_true(lambda: step_id in self.engine.catalog.steps)

    async def until_true(self, condition: Callable[[], bool]) -> None:
        """Once a commit that this node saw has made something so."""
        async with asyncio.timeout(10), self._committed:
            await self._committed.wait_for(condition)

    async def start(self, flow_id: str, *goals: str, **init: Any) -> None:
        await self.engine.start_flow(flow_id, list(goals), {name: [value] for name, value in init.items()})

    async def history(self, flow_id: str) -> list[Any]:
        """The committed events of a flow, decoded."""
        return [decode_payload(r.type, r.data) for r in await self.engine.events(("flow", flow_id))]

    async def types(self, flow_id: str) -> list[str]:
        return [record.type for record in await self.engine.events(("flow", flow_id))]

    async def view(self, flow_id: str) -> Any:
        shown = await self.engine.flow_view(flow_id)
        return None if shown is None else json.decode(shown[0])

    async def until(self, flow_id: str, event_type: str, times: int = 1) -> list[Any]:
        """The flow's history, once it holds an event type that often."""
        async with asyncio.timeout(10), self._committed:
            while (await self.types(flow_id)).count(event_type) < times:
                await self._committed.wait()
        return await self.history(flow_id)

    async def ended(self, flow_id: str) -> Any:
        """The flow's state once it is deactivated."""
        await self.until(flow_id, "flow_deactivated")
        return await self.view(flow_id)


Open = Callable[..., Awaitable[Node]]


@pytest.fixture
async def open_node(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens nodes on one data directory, one after the other; `crash` before the next."""
    opened: list[Node] = []

    async def open_one(services: Services | None = None, **settings: Any) -> Node:
        services = services or Services()
        config = EngineConfig(data_dir=tmp_path / "data", **{"drain_s": 0.0, **settings})
        # As `Engine.open`, with a log segment that is allocated quickly.
        store = await Store.open(config.data_dir, options=StoreOptions(fsync="inline", segment_bytes=1 << 20))
        node = Node(Engine(config, store, services), services)
        node.engine._spawn(node.engine._recover())
        opened.append(node)
        return node

    yield open_one
    for node in opened:
        await node.engine.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node on a store that keeps nothing."""
    services = Services()
    store = await Store.in_memory(options=StoreOptions())
    engine = Engine(EngineConfig(data_dir=tmp_path, drain_s=0.0), store, services)
    yield Node(engine, services)
    await engine.close()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

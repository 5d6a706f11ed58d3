"""A running server over an engine that only remembers: what the server asks of it, and commits that tests decide on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from argyll.engine import EngineConfig
from argyll.engine.errors import FlowNotFound, InvalidRequest, StepNotFound, UnknownToken
from argyll.model import json
from argyll.model.catalog import Catalog, Cluster, Health
from argyll.model.plan import Plan
from argyll.model.views import catalog_view, cluster_view
from argyll.model.wire import step_from_json
from argyll.server import RunningServer, ServerConfig, serve
from argyll.store import Committed, FlowPage, FlowQuery, FlowRow, LogStatus, NewEvent, Record

LOG = LogStatus(
    role="leader",
    term=3,
    leader="n1",
    first_index=1,
    last_index=12,
    commit_index=11,
    applied_index=11,
    segments=1,
    bytes=4_096,
    in_flight_appends=1,
    in_flight_bytes=10,
    fsync="inline",
    fsyncs=7,
    fsync_last_us=100,
    fsync_worst_us=900,
    cut_bytes=0,
    node_id="n1",
)

AT_US = 1_767_323_045_000_006


class MemoryEngine:
    """Answers like the engine; histories are lists, and `commit` is what a test makes happen."""

    def __init__(self) -> None:
        self.node_id = "n1"
        self.config = EngineConfig(data_dir=Path("/nowhere"), node_id="n1")
        self.log = LOG
        self.ready = True
        self.catalog = Catalog()
        self.cluster = Cluster()
        self.histories: dict[tuple[str, ...], list[Record]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.writers: list[Any] = []
        self.rows: list[FlowRow] = []
        self.fail_with: Exception | None = None
        self.before_read: Callable[[], Awaitable[None]] | None = None
        self._listeners: list[Callable[[Committed], None]] = []
        self._reset_listeners: list[Callable[[], None]] = []

    def log_status(self) -> LogStatus:
        return self.log

    async def read_barrier(self) -> None:
        self._heard("barrier")

    async def transfer_leadership(self, to: str | None) -> None:
        self._heard("transfer", to)

    def listen_reset(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._reset_listeners.append(callback)
        return lambda: self._reset_listeners.remove(callback)

    def reset(self) -> None:
        for listener in [*self._reset_listeners]:
            listener()

    def commit(self, aggregate: tuple[str, ...], *types: str, data: bytes = b"{}") -> None:
        history = self.histories.setdefault(aggregate, [])
        first = len(history)
        history.extend(Record(first + n, AT_US, event_type, data) for n, event_type in enumerate(types))
        committed = Committed(aggregate, first, AT_US, [NewEvent(event_type, data) for event_type in types])
        for listener in [*self._listeners]:
            listener(committed)

    def listen(self, callback: Callable[[Committed], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def _heard(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fail_with is not None:
            raise self.fail_with

    async def register_step(self, value: Any, by: Any = None) -> Any:
        self.writers.append(by)
        self._heard("register", value)
        step = step_from_json(value)
        self.catalog.put(step)
        self.catalog.sequence += 1
        return step

    async def update_step(self, step_id: str, value: Any, by: Any = None) -> Any:
        self.writers.append(by)
        self._heard("update", step_id, value)
        return step_from_json(value)

    async def unregister_step(self, step_id: str, by: Any = None) -> None:
        self.writers.append(by)
        self._heard("unregister", step_id)
        if step_id not in self.catalog.steps:
            raise StepNotFound(f"step not found: {step_id}")
        self.catalog.remove(step_id)

    async def apply_catalog(self, value: Any) -> Any:
        self._heard("apply", value)
        return {"applied": True, "sequence": 3}

    def preview(self, goals: list[str], init: dict[str, list[Any]]) -> Plan:
        self._heard("preview", goals, init)
        return Plan(tuple(goals), (), {}, {})

    async def start_flow(self, flow_id: str, goals: list[str], init: dict[str, list[Any]], labels: Any) -> str:
        self._heard("start", flow_id, goals, init, labels)
        if not flow_id:
            raise InvalidRequest("the flow id is empty", path="/id", code="flow_id")
        return flow_id.lower()

    async def flow_view(self, flow_id: str) -> tuple[bytes, int] | None:
        return await self.view(("flow", flow_id))

    def flow_status(self, flow_id: str) -> str | None:
        return "active" if ("flow", flow_id) in self.histories else None

    def query_flows(self, query: FlowQuery) -> FlowPage:
        self._heard("query", query)
        start = int(query.cursor or 0)
        end = start + query.limit if query.limit else len(self.rows)
        more = end < len(self.rows)
        return FlowPage(self.rows[start:end], len(self.rows), more, str(end) if more else None)

    async def events(self, aggregate: tuple[str, ...], start: int = 0, limit: int | None = None) -> list[Record]:
        records = self.histories.get(aggregate, [])[start:][:limit]
        if self.before_read is not None:
            await self.before_read()
        return records

    async def complete_work(self, flow_id: str, step_id: str, token: str, outputs: Any) -> None:
        self._heard("complete", flow_id, step_id, token, outputs)
        self._known_work(flow_id, token)

    async def fail_work(self, flow_id: str, step_id: str, token: str, error: str) -> None:
        self._heard("fail", flow_id, step_id, token, error)
        self._known_work(flow_id, token)

    def _known_work(self, flow_id: str, token: str) -> None:
        if ("flow", flow_id) not in self.histories:
            raise FlowNotFound(f"flow not found: {flow_id}")
        if token != "t":
            raise UnknownToken(f"no work item has the token {token}")

    async def cancel_flow(self, flow_id: str) -> None:
        self._heard("cancel", flow_id)
        if ("flow", flow_id) not in self.histories:
            raise FlowNotFound(f"flow not found: {flow_id}")

    def health_view(self) -> Any:
        return cluster_view(self.cluster, [self.node_id], self.catalog.steps)

    def step_health(self, step_id: str) -> Health | None:
        return Health("unknown") if step_id in self.catalog.steps else None

    async def view(self, aggregate: tuple[str, ...]) -> tuple[bytes, int] | None:
        history = self.histories.get(aggregate, [])
        sequence = len(history)
        if self.before_read is not None:
            await self.before_read()
        if aggregate == ("catalog",):
            return json.encode(catalog_view(self.catalog)), sequence
        if aggregate == ("cluster",):
            return json.encode(cluster_view(self.cluster, [self.node_id])), sequence
        return (json.encode({"id": aggregate[1], "events": sequence}), sequence) if history else None


class Api:
    """A server with its engine, and a client session on it."""

    def __init__(self, engine: MemoryEngine, server: RunningServer, session: aiohttp.ClientSession) -> None:
        self.engine = engine
        self.server = server
        self.session = session

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any, Any]:
        """Status, JSON (or None) and headers of one answer."""
        data = body if isinstance(body, bytes) or body is None else json.encode(body)
        async with self.session.request(
            method, self.server.url + path, data=data, allow_redirects=False, **options
        ) as answer:
            text = await answer.read()
            return answer.status, json.decode(text) if text else None, answer.headers

    async def raw(self, request: bytes) -> bytes:
        """Everything the server answers to some bytes until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(request)
        await writer.drain()
        answer = await reader.read(-1)
        writer.close()
        return answer

    async def socket(self, **options: Any) -> aiohttp.ClientWebSocketResponse:
        return await self.session.ws_connect(f"{self.server.url}/engine/ws", **options)


Start = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers with a given configuration; all are closed at the end."""
    session = aiohttp.ClientSession()
    running: list[RunningServer] = []

    async def start_one(**settings: Any) -> Api:
        engine = MemoryEngine()
        server = await serve(engine, ServerConfig(port=0, **settings))  # pyright: ignore
        running.append(server)
        return Api(engine, server, session)

    yield start_one
    await session.close()
    for server in running:
        await server.close(drain_s=0.5)


@pytest.fixture
async def api(start: Start) -> Api:
    return await start()

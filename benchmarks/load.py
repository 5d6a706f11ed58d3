"""The client: starts flows over HTTP and times each from its POST to its end on one WebSocket subscription.

It keeps a fixed number of flows open (a closed loop) and costs as little CPU as it can, for it shares the machine with
what it measures. It knows nothing of processes or of how results are shown.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import msgspec

from argyll.model.json import JSON, decode, encode
from benchmarks.wire import CLOSE, LOOPBACK, PING, PONG, TEXT, FrameReader, HttpPool, frame_bytes, request_bytes

DRAIN_LIMIT_S: Final = 30.0
"""How long flows still open at the end of a run may take before they count as failed."""
FAILURE_LIMIT: Final = 100
"""A run stops early after this many failed flows: its figures would mean nothing."""
SUBSCRIBE_LIMIT_S: Final = 10.0

OnEnd = Callable[[str, bool], None]


class UnexpectedAnswer(Exception):
    """An engine answered a request of the benchmark in a way that makes measuring it pointless."""


class _FlowRef(msgspec.Struct):
    flow_id: str


class _Message(msgspec.Struct):
    type: str
    data: _FlowRef | None = None


_message_decoder = msgspec.json.Decoder(_Message)
_UPGRADE: Final = (
    f"GET /engine/ws HTTP/1.1\r\nHost: {LOOPBACK}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
_SUBSCRIBE: Final = encode(
    {"type": "subscribe", "data": {"sub_id": "bench", "event_types": ["flow_completed", "flow_failed"]}}
)


class FlowEnds(asyncio.Protocol):
    """One WebSocket subscription to the ends of all flows; tells `on_end` (flow id, completed?) of each."""

    on_end: OnEnd

    def __init__(self) -> None:
        self.on_end = lambda flow_id, completed: None
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frames = FrameReader()
        self._handshake: bytes | None = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_UPGRADE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse(f"the WebSocket was closed: {exc or 'by the peer'}")

    def data_received(self, data: bytes) -> None:
        if self._handshake is not None:
            head, end, data = (self._handshake + data).partition(b"\r\n\r\n")
            if not end:
                self._handshake = head
                return
            if b" 101 " not in head[:20]:
                self._refuse(f"the WebSocket upgrade was answered {head[:200]!r}")
                return
            self._handshake = None
            self._transport.write(frame_bytes(_SUBSCRIBE, masked=True))
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                self._message(payload)
            elif opcode == PING:
                self._transport.write(frame_bytes(payload, PONG, masked=True))
            elif opcode == CLOSE:
                self._transport.close()

    def close(self) -> None:
        self._transport.close()

    def _message(self, payload: bytes) -> None:
        message = _message_decoder.decode(payload)
        if message.data is not None and message.type in ("flow_completed", "flow_failed"):
            self.on_end(message.data.flow_id, message.type == "flow_completed")
        elif message.type == "subscribed" and not self.subscribed.done():
            self.subscribed.set_result(None)
        elif message.type == "error":
            self._refuse(f"the subscription was answered {payload[:200]!r}")

    def _refuse(self, why: str) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(UnexpectedAnswer(why))


class EngineClient:
    """HTTP pool and subscription to one engine, floor or real."""

    def __init__(self, port: int) -> None:
        self.pool = HttpPool(port)
        self._ends: FlowEnds | None = None

    async def register(self, definitions: list[JSON]) -> None:
        """Register steps; raises UnexpectedAnswer when one is refused."""
        for definition in definitions:
            status, body = await self.pool.request("POST", "/engine/step", encode(definition))
            if status not in (200, 201):
                raise UnexpectedAnswer(f"step {definition['id']} was answered {status}: {body[:400].decode()}")

    async def subscribe(self, on_end: OnEnd) -> None:
        """Hand the ends of flows to `on_end` from now on. Connects once; later calls only change the receiver."""
        if self._ends is None:
            loop = asyncio.get_running_loop()
            _, self._ends = await loop.create_connection(FlowEnds, LOOPBACK, self.pool.port)
            await asyncio.wait_for(self._ends.subscribed, SUBSCRIBE_LIMIT_S)
        self._ends.on_end = on_end

    def start_flow(self, body: bytes, on_response: Callable[[int, bytes], None]) -> None:
        self.pool.send(request_bytes("POST", "/engine/flow", body), on_response)

    async def flows_with_status(self, status: str, id_prefix: str, limit: int) -> set[str]:
        """The ids of at most `limit` flows of that status whose id starts with `id_prefix`."""
        query = encode({"id_prefix": id_prefix, "statuses": [status], "limit": limit})
        answer, body = await self.pool.request("POST", "/engine/flow/query", query)
        if answer != 200:
            raise UnexpectedAnswer(f"the flow query was answered {answer}: {body[:400].decode()}")
        return {flow["id"] for flow in decode(body)["flows"]}

    def close(self) -> None:
        self.pool.close()
        if self._ends is not None:
            self._ends.close()


class Load(msgspec.Struct):
    """What one run of the closed loop saw: seconds from the POST to the end of each flow, the run's length, failures."""

    latencies_s: list[float]
    duration_s: float
    failures: list[str]


class ClosedLoop:
    """Keeps `in_flight` flows open for `duration_s`, then waits for the open ones. Use once.

    At `FAILURE_LIMIT` it gives up at once and leaves the open flows alone.
    """

    def __init__(self, client: EngineClient, flow_body: Callable[[str], bytes], id_prefix: str) -> None:
        self._client = client
        self._flow_body = flow_body
        self._id_prefix = id_prefix
        self._started = 0
        self._started_at: dict[str, float] = {}
        self._latencies_s: list[float] = []
        self._failures: list[str] = []
        self._deadline = 0.0
        self._drained = asyncio.Event()

    async def run(self, in_flight: int, duration_s: float) -> Load:
        await self._client.subscribe(self._ended)
        begin = time.perf_counter()
        self._deadline = begin + duration_s
        for _ in range(in_flight):
            self._start_next()
        try:
            await asyncio.wait_for(self._drained.wait(), duration_s + DRAIN_LIMIT_S)
        except TimeoutError:
            self._failures += [f"flow {flow_id} did not end in {DRAIN_LIMIT_S:.0f} s" for flow_id in self._started_at]
        return Load(self._latencies_s, time.perf_counter() - begin, self._failures)

    def _start_next(self) -> None:
        flow_id = f"{self._id_prefix}-{self._started}"
        self._started += 1
        self._started_at[flow_id] = time.perf_counter()
        self._client.start_flow(self._flow_body(flow_id), partial(self._answered, flow_id))

    def _answered(self, flow_id: str, status: int, body: bytes) -> None:
        if status != 201 and self._started_at.pop(flow_id, None) is not None:
            self._fail(f"POST of flow {flow_id} was answered {status}: {body[:400].decode()}")

    def _ended(self, flow_id: str, completed: bool) -> None:
        started_at = self._started_at.pop(flow_id, None)
        if started_at is None:
            return
        if not completed:
            self._fail(f"flow {flow_id} failed")
            return
        self._latencies_s.append(time.perf_counter() - started_at)
        self._continue()

    def _fail(self, why: str) -> None:
        self._failures.append(why)
        if len(self._failures) >= FAILURE_LIMIT:
            self._deadline = 0.0
            self._drained.set()
        self._continue()

    def _continue(self) -> None:
        if time.perf_counter() < self._deadline:
            self._start_next()
        elif not self._started_at:
            self._drained.set()

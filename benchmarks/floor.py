"""The floor engine's process: the machine of `floor_machine` between an HTTP edge and a step client.

Each side comes raw (httptools over asyncio) and with aiohttp, so that a run shows what aiohttp costs. It serves only the
routes the benchmark needs: POST /engine/step, POST /engine/flow, GET /engine/ws, and health for everything else.
"""

import argparse
import asyncio
import base64
import gc
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from argyll.model.json import decode, encode
from benchmarks.floor_machine import Floor, Flow, FusedLog, Reply, StartFlow, Step, StepCaller, Values
from benchmarks.wire import (
    CLOSE,
    LOOPBACK,
    NO_ANSWER,
    TEXT,
    FrameReader,
    HttpPool,
    HttpServerProtocol,
    frame_bytes,
    request_bytes,
)

VARIANTS: Final = ("raw", "aiohttp")
LISTEN_BACKLOG: Final = 4096
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_step_decoder = msgspec.json.Decoder(Step)
_start_decoder = msgspec.json.Decoder(StartFlow)

Send = Callable[[bytes], None]
"""Writes encoded WebSocket frames to one subscriber."""


class Streams:
    """Subscribers by event type; frames of one loop turn leave in one write per subscriber."""

    def __init__(self) -> None:
        self.watched: set[str] = set()
        self._subscribers: dict[str, list[Send]] = {}
        self._waiting: dict[Send, list[bytes]] = {}

    def subscribe(self, send: Send, message: bytes) -> None:
        for event_type in decode(message)["data"]["event_types"]:
            self._subscribers.setdefault(event_type, []).append(send)
            self.watched.add(event_type)
        send(frame_bytes(encode({"type": "subscribed", "items": []})))

    def unsubscribe(self, send: Send) -> None:
        for subscribers in self._subscribers.values():
            if send in subscribers:
                subscribers.remove(send)
        self._waiting.pop(send, None)

    def publish(self, event_type: str, event: bytes) -> None:
        frame = frame_bytes(event)
        for send in self._subscribers[event_type]:
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._flush)
            self._waiting.setdefault(send, []).append(frame)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for send, frames in waiting.items():
            send(b"".join(frames))


def handle(floor: Floor, method: bytes, path: bytes, body: bytes, reply: Reply) -> None:
    """The routes, the same for both edges."""
    if method == b"POST" and path == b"/engine/flow":
        floor.start(_start_decoder.decode(body), reply)
    elif method == b"POST" and path == b"/engine/step":
        floor.register(_step_decoder.decode(body))
        reply(b"{}", b"201 Created")
    else:
        reply(b'{"service":"floor","status":"healthy"}', b"200 OK")


class RawEdge(HttpServerProtocol):
    """One client's connection, HTTP until it asks for the WebSocket."""

    def __init__(self, floor: Floor, streams: Streams) -> None:
        self._floor = floor
        self._streams = streams
        self._websocket_key = b""
        self._frames: FrameReader | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"sec-websocket-key":
            self._websocket_key = value

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            super().data_received(data)
            return
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                self._streams.subscribe(self.transport.write, payload)
            elif opcode == CLOSE:
                self.transport.close()

    def requested(self, method: bytes, target: bytes, body: bytes) -> None:
        if target == b"/engine/ws":
            accept = base64.b64encode(hashlib.sha1(self._websocket_key + _WEBSOCKET_GUID).digest())
            self._frames = FrameReader()
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self.transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        else:
            handle(self._floor, method, target, body, self.reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.unsubscribe(self.transport.write)


async def serve_raw(floor: Floor, streams: Streams, port: int) -> None:
    """Serve with `RawEdge` until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: RawEdge(floor, streams), LOOPBACK, port, backlog=LISTEN_BACKLOG)
    await server.serve_forever()


async def serve_aiohttp(floor: Floor, streams: Streams, port: int) -> None:
    """Serve with an aiohttp application until cancelled."""

    async def http(request: web.Request) -> web.Response:
        answered: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()

        def reply(body: bytes, status: bytes) -> None:
            if not answered.done():
                answered.set_result((body, status))

        handle(floor, request.method.encode(), request.path.encode(), await request.read(), reply)
        body, status = await answered
        return web.Response(body=body, status=int(status[:3]), content_type="application/json")

    async def websocket(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                streams.subscribe(transport.write, message.data.encode())
        streams.unsubscribe(transport.write)
        return socket

    application = web.Application()
    application.router.add_get("/engine/ws", websocket)
    application.router.add_route("*", "/{path:.*}", http)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port, backlog=LISTEN_BACKLOG).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class RawStepCaller:
    """Posts over the pool of `wire`; all steps live behind one port."""

    def __init__(self, floor: Floor, step_port: int) -> None:
        self._floor = floor
        self._pool = HttpPool(step_port)

    def call(self, flow: Flow, step: Step, token: str, inputs: Values) -> None:
        url = _url(step, inputs)
        headers = (
            f"Accept: application/json\r\nUser-Agent: floor\r\nArgyll-Flow-ID: {flow.id}\r\n"
            f"Argyll-Step-ID: {step.id}\r\nArgyll-Receipt-Token: {token}\r\n"
        )
        request = request_bytes("POST", url[url.index("/", len("http://")) :], encode(inputs), headers)

        def answered(status: int, body: bytes) -> None:
            _require_ok(status, body, url)
            self._floor.complete(flow, step, token, decode(body))

        self._pool.send(request, answered)

    async def close(self) -> None:
        self._pool.close()


class AiohttpStepCaller:
    """Posts with one aiohttp session, a task per call."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._calls: set[asyncio.Task[None]] = set()

    def call(self, flow: Flow, step: Step, token: str, inputs: Values) -> None:
        task = asyncio.get_running_loop().create_task(self._call(flow, step, token, inputs))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, flow: Flow, step: Step, token: str, inputs: Values) -> None:
        url = _url(step, inputs)
        headers = {
            "Content-Type": "application/json",
            "Argyll-Flow-ID": flow.id,
            "Argyll-Step-ID": step.id,
            "Argyll-Receipt-Token": token,
        }
        async with self._session.post(url, data=encode(inputs), headers=headers) as response:
            body = await response.read()
        _require_ok(response.status, body, url)
        self._floor.complete(flow, step, token, decode(body))

    async def close(self) -> None:
        await self._session.close()


def _url(step: Step, inputs: Values) -> str:
    assert step.http is not None, f"step {step.id} has neither http nor script"
    return step.http.endpoint.format_map(inputs)


def _require_ok(status: int, body: bytes, url: str) -> None:
    if status != 200:
        reason = "no answer" if status == NO_ANSWER else str(status)
        raise RuntimeError(f"{url}: {reason}: {body[:200]!r}")


async def serve(port: int, step_port: int, log_file: Path, edge: str, step_client: str) -> None:
    """Serve on the loopback until cancelled. `edge` and `step_client` are of `VARIANTS`."""
    streams = Streams()
    log = FusedLog(log_file)
    floor = Floor(log, streams.publish, streams.watched)
    caller: StepCaller = RawStepCaller(floor, step_port) if step_client == "raw" else AiohttpStepCaller(floor)
    floor.caller = caller
    try:
        await (serve_raw if edge == "raw" else serve_aiohttp)(floor, streams, port)
    finally:
        await caller.close()
        log.close()


def settle_garbage_collection() -> None:
    """Keep the collector from walking what start-up made, and from running every few hundred events."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--step-port", type=int, required=True)
    parser.add_argument("--log-file", type=Path, required=True)
    parser.add_argument("--edge", choices=VARIANTS, default="raw")
    parser.add_argument("--step-client", choices=VARIANTS, default="raw")
    options = parser.parse_args()
    settle_garbage_collection()
    uvloop.run(serve(options.port, options.step_port, options.log_file, options.edge, options.step_client))


if __name__ == "__main__":
    main()

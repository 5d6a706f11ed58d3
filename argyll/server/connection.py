"""One WebSocket of one client: its queue of frames, and how it ends.

Frames go to the transport directly and many at a time; aiohttp does the handshake, reads, pings and closes. What the
frames say is the conversation's business.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSCloseCode
from aiohttp.web import BaseRequest, WebSocketResponse

from argyll.server.config import ServerConfig

WRITE_BYTES = 256 * 1024
"""How much is given to the transport at once: it says only after a write that it has enough."""


class Connection:
    """The sending side of a WebSocket.

    `on_waiting` is called when the first frame of a batch is queued; whoever is told calls `flush` soon after.
    """

    def __init__(
        self,
        socket: WebSocketResponse,
        request: BaseRequest,
        config: ServerConfig,
        on_waiting: "Callable[[Connection], None]",
    ) -> None:
        self._socket = socket
        self._writer = request.writer
        self._protocol = request.protocol
        self._config = config
        self._on_waiting = on_waiting
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._announced = False
        self._draining: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def closing(self) -> bool:
        """Whether the end has begun: nothing is sent any more."""
        return self._closing is not None

    def send(self, frame: bytes) -> None:
        """Queue a frame. A queue over its limits ends the connection, unless the transport takes some of it."""
        if self._closing is not None:
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        if len(self._frames) > self._config.ws_queue_messages or self._bytes > self._config.ws_queue_bytes:
            # One append may hold more events than the queue: that is no fault of the consumer.
            self._write()
            self._check_limits()
        if not self._announced:
            self._announced = True
            self._on_waiting(self)

    def _check_limits(self) -> None:
        if len(self._frames) > self._config.ws_queue_messages:
            self.too_slow("ws_queue_messages", self._config.ws_queue_messages)
        elif self._bytes > self._config.ws_queue_bytes:
            self.too_slow("ws_queue_bytes", self._config.ws_queue_bytes)

    def hold(self, waiting: int) -> None:
        """A gate keeps `waiting` events for this connection: they count like frames in the queue."""
        if waiting > self._config.ws_queue_messages:
            self.too_slow("ws_queue_messages", self._config.ws_queue_messages)

    def flush(self) -> None:
        """Give the transport what it takes; the rest follows when it has room again."""
        self._announced = False
        if self._draining is None and not self._write():
            self._draining = asyncio.create_task(self._drain())

    def _write(self) -> bool:
        """Whether everything was written."""
        frames = self._frames
        while frames and not self._protocol.writing_paused:
            transport = self._protocol.transport
            if transport is None or transport.is_closing():
                frames.clear()
                break
            size = 0
            batch: list[bytes] = []
            while frames and size < WRITE_BYTES:
                frame = frames.popleft()
                batch.append(frame)
                size += len(frame)
            self._bytes -= size
            transport.write(batch[0] if len(batch) == 1 else b"".join(batch))
        if self._room is not None and self.has_room:
            self._room.set_result(None)
            self._room = None
        return not frames

    async def _drain(self) -> None:
        with suppress(ConnectionError):
            while not self._write():
                await self._writer.drain()
        self._draining = None

    @property
    def has_room(self) -> bool:
        """Whether the queue is at most half full."""
        config = self._config
        return len(self._frames) * 2 <= config.ws_queue_messages and self._bytes * 2 <= config.ws_queue_bytes

    async def room(self) -> None:
        """Wait for room: for a producer that can wait, such as a replay."""
        while not self.closing and not self.has_room:
            self._room = self._room or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def too_slow(self, limit_name: str, limit: int) -> None:
        """End the connection of a consumer that cannot keep up; it may resume by sequence."""
        reason = f"too slow: over {limit_name} ({limit}) waited; subscribe again with from_sequence"
        self.close(WSCloseCode.TRY_AGAIN_LATER, reason)

    def close(self, code: int, reason: str) -> "asyncio.Task[None]":
        """Begin the end: drop what waits, say why, wait a while for the peer, then cut. Returns the running task."""
        if self._closing is None:
            self._frames.clear()
            self._bytes = 0
            if self._room is not None:
                self._room.set_result(None)
                self._room = None
            self._closing = asyncio.create_task(self._end(code, reason))
        return self._closing

    async def _end(self, code: int, reason: str) -> None:
        transport = self._protocol.transport
        try:
            await self._socket.close(code=code, message=reason.encode(), drain=False)
        finally:
            if self._draining is not None:
                self._draining.cancel()
            if transport is not None:
                # A peer that does not read would keep a gracefully closed transport open for ever.
                asyncio.get_running_loop().call_later(self._config.ws_close_s, transport.abort)

    async def closed(self) -> None:
        """Wait for an end that has begun."""
        if self._closing is not None:
            await self._closing

"""The cheapest honest HTTP/1.1 and WebSocket framing over asyncio: what the client, the step service and the floor share.

It trusts its peers (loopback, keep-alive, whole messages) and is never meant for a network.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, cast

import httptools

LOOPBACK: Final = "127.0.0.1"
NO_ANSWER: Final = 0
"""Status handed to a response callback when the connection broke before an answer came."""

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

OnResponse = Callable[[int, bytes], None]


def request_bytes(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """One whole HTTP/1.1 request. `headers` are complete lines, each ended by CRLF."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n{headers}"
    if body:
        head += "Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def response_bytes(body: bytes, status: bytes = b"200 OK") -> bytes:
    """One whole HTTP/1.1 response with a JSON body."""
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


class HttpServerProtocol(asyncio.Protocol):
    """One accepted connection. Subclasses define `requested`, and `on_header` only if they need headers (it costs)."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._body = b""

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._target = url

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        self.requested(self._parser.get_method(), self._target, self._body)

    def requested(self, method: bytes, target: bytes, body: bytes) -> None:
        """A whole request has arrived."""
        raise NotImplementedError

    def reply(self, body: bytes, status: bytes = b"200 OK") -> None:
        """Answer the request, unless its client is gone."""
        if not self.transport.is_closing():
            self.transport.write(response_bytes(body, status))


class HttpConnection(asyncio.Protocol):
    """One keep-alive client connection with at most one request on it."""

    def __init__(self, pool: "HttpPool") -> None:
        self._pool = pool
        self._on_response: OnResponse | None = None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, on_response: OnResponse) -> None:
        self._on_response = on_response
        self._body = b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        on_response, self._on_response = self._on_response, None
        self._pool.release(self)
        if on_response is not None:
            on_response(self._parser.get_status_code(), self._body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        on_response, self._on_response = self._on_response, None
        if on_response is not None:
            on_response(NO_ANSWER, f"connection lost: {exc or 'closed by the peer'}".encode())


class HttpPool:
    """As many keep-alive connections to one loopback port as there are requests at the same time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: set[HttpConnection] = set()
        self._free: list[HttpConnection] = []
        self._opening: set[asyncio.Task[None]] = set()

    def send(self, request: bytes, on_response: OnResponse) -> None:
        """Send whole request bytes; the callback gets the status (or `NO_ANSWER` and why) and the body."""
        if self._free:
            self._free.pop().send(request, on_response)
            return
        task = asyncio.get_running_loop().create_task(self._open_and_send(request, on_response))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_and_send(self, request: bytes, on_response: OnResponse) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: HttpConnection(self), LOOPBACK, self.port)
        except OSError as error:
            on_response(NO_ANSWER, f"cannot connect to port {self.port}: {error}".encode())
            return
        self._open.add(connection)
        connection.send(request, on_response)

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request and wait for (status, body); status is `NO_ANSWER` when the connection broke."""
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def on_response(status: int, answer_body: bytes) -> None:
            if not answer.done():
                answer.set_result((status, answer_body))

        self.send(request_bytes(method, path, body), on_response)
        return await answer

    def release(self, connection: HttpConnection) -> None:
        self._free.append(connection)

    def forget(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)

    def close(self) -> None:
        """Close every connection; requests still open get `NO_ANSWER`."""
        for connection in list(self._open):
            connection.transport.close()


def frame_bytes(payload: bytes, opcode: int = TEXT, *, masked: bool = False) -> bytes:
    """One final WebSocket frame. A client's frames are masked; the zero mask spares the work and is legal."""
    mask_bit, mask = (0x80, b"\0\0\0\0") if masked else (0, b"")
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, mask_bit | size))
    elif size < 65_536:
        head = struct.pack(">BBH", 0x80 | opcode, mask_bit | 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, mask_bit | 127, size)
    return head + mask + payload


class FrameReader:
    """Cuts a byte stream into WebSocket frames. Messages in several frames are not joined: no peer here sends them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Add bytes; return the (opcode, payload) of each frame that is now whole."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[int, bytes]] = []
        start = 0
        while (span := _frame_span(buffer, start)) is not None:
            mask_at, payload_at, end = span
            payload = bytes(buffer[payload_at:end])
            if mask_at < payload_at:
                payload = _unmask(payload, bytes(buffer[mask_at:payload_at]))
            frames.append((buffer[start] & 0x0F, payload))
            start = end
        del buffer[:start]
        return frames


def _frame_span(buffer: bytearray, start: int) -> tuple[int, int, int] | None:
    """Where the mask, the payload and the end of the frame at `start` lie, or None while it is not whole."""
    available = len(buffer) - start
    if available < 2:
        return None
    size = buffer[start + 1] & 0x7F
    mask_at = start + 2
    if size == 126:
        mask_at += 2
    elif size == 127:
        mask_at += 8
    if len(buffer) < mask_at:
        return None
    if mask_at > start + 2:
        size = int.from_bytes(buffer[start + 2 : mask_at], "big")
    payload_at = mask_at + (4 if buffer[start + 1] & 0x80 else 0)
    end = payload_at + size
    return (mask_at, payload_at, end) if len(buffer) >= end else None


def _unmask(payload: bytes, mask: bytes) -> bytes:
    if mask == b"\0\0\0\0":
        return payload
    return bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))

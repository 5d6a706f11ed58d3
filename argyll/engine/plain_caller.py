"""Calls plain `http://` step services over its own keep-alive connections, at a third of the cost of a general client.

Only the plain case: TLS, unusual URLs and where redirects lead go to the caller behind it, and no compression is asked
for. The same contract tests hold for both.
"""

import asyncio
import time
import zlib
from collections import deque
from functools import lru_cache
from typing import Final, NamedTuple, cast
from urllib.parse import urljoin

import httptools
from msgspec import structs

from argyll.engine.caller import (
    KEEPALIVE_S,
    USER_AGENT,
    Failure,
    NowUs,
    Outcome,
    Request,
    Retryable,
    StepCaller,
    Success,
    body_outcome,
    retry_after,
    status_outcome,
)
from argyll.model.limits import MAX_RESPONSE_BYTES

MAX_HEADER_BYTES: Final = 64 * 1024
"""Status line and headers of one response."""

_ANY_ZLIB_HEADER: Final = 32
"""Added to the window size: zlib tells gzip and deflate apart by itself."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_KEPT_HEADERS = frozenset(
    (b"content-type", b"content-length", b"transfer-encoding", b"content-encoding", b"location", b"retry-after")
)


class Origin(NamedTuple):
    """Where a connection leads; `netloc` is how the URL writes it."""

    host: str
    port: int
    netloc: str


class Response(NamedTuple):
    """An answer, with the headers that mean something here in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class ConnectionLost(Exception):
    """The connection ended without a whole answer. `clean`: before the first byte of one."""

    def __init__(self, text: str, *, clean: bool = False) -> None:
        super().__init__(text)
        self.clean = clean


class ResponseTooLarge(Exception):
    """The answer is over a limit; `str()` names it."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. Closed by any answer that does not allow another request."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._header_size = 0
        self._body_size = 0
        self._in_body = False
        self._ends_with_connection = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, data: bytes) -> Response:
        """Send a request and wait for its answer. Raises `ConnectionLost`, `ResponseTooLarge`."""
        if self._transport is None:
            raise ConnectionLost("connection closed by the service", clean=True)
        self._waiter = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, []
        self._header_size, self._body_size = 0, 0
        self._in_body, self._ends_with_connection = False, False
        self._transport.write(data)
        return await self._waiter

    def close(self) -> None:
        """Close at once; what is waited for is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._ends_with_connection and exc is None:
            self._finish()
        else:
            clean = not self._header_size
            self._fail(ConnectionLost(str(exc) if exc else "connection closed by the service", clean=clean))

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self.close()  # bytes that nobody asked for
            return
        if not self._in_body:
            self._header_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ConnectionLost("the service switched protocols"))
        except httptools.HttpParserError as error:
            self._fail(ConnectionLost(f"not an HTTP answer: {error}"))
        if not self._in_body and self._header_size > MAX_HEADER_BYTES:
            self._fail(ResponseTooLarge(f"step response headers are larger than {MAX_HEADER_BYTES} bytes"))
        elif self._body_size > MAX_RESPONSE_BYTES:
            self._fail(ResponseTooLarge(f"step response is larger than {MAX_RESPONSE_BYTES} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _KEPT_HEADERS:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_body = True
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        self._ends_with_connection = not framed

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size <= MAX_RESPONSE_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self._parser.get_status_code() < 200:
            self._headers, self._in_body = {}, False
            return
        # The parser saw the end, so the connection need not be it (204 has no length either).
        self._ends_with_connection = False
        if self._body_size <= MAX_RESPONSE_BYTES:
            self._finish()

    def _finish(self) -> None:
        parser, waiter = self._parser, self._waiter
        if parser is None or waiter is None:
            return
        status = parser.get_status_code()
        reusable = parser.should_keep_alive() and not self._ends_with_connection
        self._parser = self._waiter = None
        self._ends_with_connection = False
        if not reusable and self._transport is not None:
            self._transport.close()
        if not waiter.done():
            waiter.set_result(Response(status, self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        waiter = self._waiter
        self._parser = self._waiter = None
        self._ends_with_connection = False
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        self.close()


class PlainCaller:
    """Pooled connections to plain services; `behind` makes the calls that are not plain."""

    def __init__(self, now_us: NowUs, behind: StepCaller) -> None:
        self._now_us, self._behind = now_us, behind
        self._idle: dict[Origin, deque[_Connection]] = {}

    async def call(self, request: Request) -> Outcome:
        target = split_plain(request.url)
        if target is None:
            return await self._behind.call(request)
        origin, path = target
        try:
            async with asyncio.timeout(request.timeout_ms / 1_000):
                response = await self._exchange(origin, request_bytes(request, origin, path))
        except TimeoutError:
            return Retryable(f"work not completed\nno answer within {request.timeout_ms} ms from {request.url}")
        except ResponseTooLarge as error:
            return Failure(str(error))
        except (ConnectionLost, OSError) as error:
            return Retryable(f"work not completed\n{error} ({request.url})")
        except UnicodeError as error:
            return Failure(f"not a URL that can be called: {request.url} ({error})")
        if response.status in _REDIRECTS and b"location" in response.headers:
            return await self._behind.call(redirected(request, response))
        return self._outcome(request, response)

    async def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
        await self._behind.close()

    async def _exchange(self, origin: Origin, data: bytes) -> Response:
        """Send and wait. An idle connection that the service had closed meanwhile is replaced once: nothing of an
        answer has come, and a repeat carries the same receipt token."""
        connection = self._take(origin)
        if connection is not None:
            try:
                return await self._answer(origin, connection, data)
            except ConnectionLost as error:
                if not error.clean:
                    raise
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, origin.host, origin.port)
        return await self._answer(origin, connection, data)

    async def _answer(self, origin: Origin, connection: _Connection, data: bytes) -> Response:
        try:
            response = await connection.exchange(data)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._release(origin, connection)
        return response

    def _release(self, origin: Origin, connection: _Connection) -> None:
        now = connection.idle_since = time.monotonic()
        idle = self._idle.setdefault(origin, deque())
        idle.append(connection)
        while not idle[0].is_open or now - idle[0].idle_since > KEEPALIVE_S:
            idle.popleft().close()

    def _take(self, origin: Origin) -> _Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open and time.monotonic() - connection.idle_since < KEEPALIVE_S:
                return connection
            connection.close()
        return None

    def _outcome(self, request: Request, response: Response) -> Outcome:
        if b"content-encoding" in response.headers:
            try:
                response = decoded(response)
            except ResponseTooLarge as error:
                return Failure(str(error))
        if 200 <= response.status < 300:
            return body_outcome(response.body) if request.reads_body else Success({})
        content_type = response.headers.get(b"content-type", b"").decode("latin-1")
        wait = response.headers.get(b"retry-after")
        wait_ms = retry_after(wait.decode("latin-1"), self._now_us() / 1e6) if wait else 0
        return status_outcome(response.status, content_type, response.body, wait_ms)


def decoded(response: Response) -> Response:
    """The answer with its body unpacked, for services that compress unasked. Raises `ResponseTooLarge`."""
    if response.headers[b"content-encoding"].lower() not in (b"gzip", b"x-gzip", b"deflate"):
        return response
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | _ANY_ZLIB_HEADER)
    try:
        body = unpacker.decompress(response.body, MAX_RESPONSE_BYTES + 1)
    except zlib.error:
        return response  # not what it says it is; reading it as JSON will tell
    if len(body) > MAX_RESPONSE_BYTES:
        raise ResponseTooLarge(f"step response is larger than {MAX_RESPONSE_BYTES} bytes")
    return response._replace(body=body)


def redirected(request: Request, response: Response) -> Request:
    """The call that a redirect asks for: 307 and 308 repeat it there, the others become a GET (surface.md 3.1)."""
    url = urljoin(request.url, response.headers[b"location"].decode("latin-1"))
    if response.status in (307, 308) or request.method == "GET":
        return structs.replace(request, url=url)
    return structs.replace(request, url=url, method="GET", body=None)


def request_bytes(request: Request, origin: Origin, path: str) -> bytes:
    """The request as it goes over the wire."""
    who = request.identity
    head = (
        f"{request.method} {path} HTTP/1.1\r\nHost: {origin.netloc}\r\n{_COMMON_HEADERS}"
        f"Argyll-Flow-ID: {who.flow_id}\r\nArgyll-Step-ID: {who.step_id}\r\nArgyll-Receipt-Token: {who.token}\r\n"
    )
    if who.webhook_url:
        head += f"Argyll-Webhook-URL: {who.webhook_url}\r\n"
    if request.body is None:
        return f"{head}\r\n".encode()
    head += f"Content-Type: application/json\r\nContent-Length: {len(request.body)}\r\n\r\n"
    return head.encode() + request.body


_COMMON_HEADERS = f"Accept: application/json\r\nUser-Agent: {USER_AGENT}\r\n"


def split_plain(url: str) -> tuple[Origin, str] | None:
    """Origin and request target of a URL that is written plainly enough to be sent as it is; None for any other."""
    if not url.startswith("http://"):
        return None
    netloc, slash, rest = url[7:].partition("/")
    origin = _origin(netloc)
    if origin is None or "#" in rest or not rest.isascii() or not rest.isprintable() or " " in rest:
        return None
    return origin, slash + rest or "/"


@lru_cache(maxsize=4_096)
def _origin(netloc: str) -> Origin | None:
    host, _, port = netloc.partition(":")
    if not host or not host.replace(".", "").replace("-", "").isalnum() or not host.isascii():
        return None
    if port and not (port.isdecimal() and port.isascii() and 0 < int(port) < 65_536):
        return None
    return Origin(host, int(port) if port else 80, netloc)

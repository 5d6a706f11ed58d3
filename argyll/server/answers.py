"""An answer whose bytes are known: head and body leave in one write.

aiohttp's own `Response` builds a header map per answer; here the head is assembled from prepared bytes, which halves the
cost of a small answer. Streams and sockets use aiohttp's classes.
"""

import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp.web import BaseRequest, StreamResponse

from argyll.model import json
from argyll.model.json import JSON

JSON_TYPE = "application/json; charset=utf-8"
PROBLEM_TYPE = "application/problem+json"

Header = tuple[str, str]


@lru_cache(maxsize=256)
def _head(status: int, content_type: str) -> bytes:
    phrase = HTTPStatus(status).phrase
    line = f"HTTP/1.1 {status} {phrase}\r\n"
    return (line + (f"Content-Type: {content_type}\r\n" if content_type else "")).encode("ascii")


@lru_cache(maxsize=2)
def _date(at_s: int) -> bytes:
    return f"Date: {formatdate(at_s, usegmt=True)}\r\n".encode("ascii")


def _header_line(header: Header) -> bytes:
    name, value = header
    if "\r" in value or "\n" in value:
        raise ValueError(f"header {name} must be one line: {value!r}")
    return f"{name}: {value}\r\n".encode("latin-1")


class Answer(StreamResponse):
    """Status, body bytes and a few headers. `content_type` empty means that there is no body."""

    def __init__(self, status: int, body: bytes, content_type: str = JSON_TYPE, headers: Iterable[Header] = ()) -> None:
        super().__init__(status=status)
        self.body = body
        self.answer_type = content_type
        self.extra = [*headers]
        self._to: BaseRequest | None = None

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Called by aiohttp before `write_eof`."""
        self._to = request
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Called by aiohttp: the whole answer leaves here. Raises `ConnectionResetError` when the client is gone."""
        request = self._to
        transport = request.transport if request is not None else None
        if request is None or transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        body = self.body
        lines = [_head(self.status, self.answer_type), _date(int(time.time()))]
        if self.extra:
            lines.extend(map(_header_line, self.extra))
        if not self._keep_alive:
            lines.append(b"Connection: close\r\n")
        elif request.version < HttpVersion11:
            lines.append(b"Connection: keep-alive\r\n")
        lines.append(b"Content-Length: %d\r\n\r\n" % len(body))
        if request.method != "HEAD":
            lines.append(body)
        transport.write(b"".join(lines))
        await request.writer.drain()


def json_answer(value: JSON, status: int = 200, headers: Iterable[Header] = ()) -> Answer:
    """An answer with a JSON value."""
    return Answer(status, json.encode(value), headers=headers)


def empty_answer(status: int = 200, headers: Iterable[Header] = ()) -> Answer:
    """An answer without a body."""
    return Answer(status, b"", "", headers)

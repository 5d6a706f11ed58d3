"""Reading a request's body: within a limit, in time, and as exactly one JSON value of bounded depth.

What the value should look like is not known here.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import cast

import msgspec
from aiohttp.web import BaseRequest, RequestPayloadError

from argyll.model import json
from argyll.model.json import JSON
from argyll.model.limits import MAX_JSON_DEPTH
from argyll.server.problems import BadRequest, BodyTimeout, BodyTooLarge, finding


async def read_body(request: BaseRequest, limit_name: str, limit_bytes: int, timeout_s: float) -> bytes:
    """The body's bytes, decompressed. Raises `BodyTooLarge`, `BodyTimeout` or `BadRequest`."""
    content = request.content
    try:
        if content.is_eof():
            body = content.read_nowait(-1)
            if len(body) > limit_bytes:
                raise _too_large(limit_name, limit_bytes)
            return body
        return await _read_slowly(request, limit_name, limit_bytes, timeout_s)
    except RequestPayloadError as error:
        raise BadRequest(f"the body is not what its headers say: {error}") from error


async def _read_slowly(request: BaseRequest, limit_name: str, limit_bytes: int, timeout_s: float) -> bytes:
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_name, limit_bytes)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while chunk := await request.content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > limit_bytes:
                    raise _too_large(limit_name, limit_bytes)
    except TimeoutError as error:
        raise BodyTimeout(f"the body did not arrive within body_timeout_s, {timeout_s:g} s; send it again") from error
    return b"".join(chunks)


def _too_large(limit_name: str, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is larger than {limit_name}, {limit_bytes} bytes; send less, pass large values by reference, "
        "or raise the limit"
    )


def decode_body(body: bytes) -> JSON:
    """The one JSON value of a body. Raises `BadRequest`."""
    try:
        value = json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise bad_json(body, error) from error
    check_depth(body, value)
    return value


def bad_json(body: bytes, error: Exception) -> BadRequest:
    """Why a body is not JSON, with the place as line and column."""
    if isinstance(error, RecursionError):
        return _too_deep()
    if not body.strip():
        return BadRequest("the body is empty; send one JSON value")
    text = str(error)
    place = re.search(r" \(byte (\d+)\)", text)
    if place is None:
        return BadRequest(f"the body is not JSON: {text[:200]}", errors=[finding("", "malformed_json", text[:200])])
    before = body[: int(place[1])]
    line = before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    message = f"{text.replace(place[0], '').removeprefix('JSON is malformed: ')} at line {line}, column {column}"
    return BadRequest(f"the body is not JSON: {message}", errors=[finding("", "malformed_json", message)])


def check_depth(body: bytes, value: JSON) -> None:
    """Refuse values nested deeper than `MAX_JSON_DEPTH`: what reads them later recurses."""
    if body.count(b"[") + body.count(b"{") <= MAX_JSON_DEPTH:
        return
    level: list[JSON] = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [item for container in level for item in _items(container) if isinstance(item, dict | list)]
        if not level:
            return
    raise _too_deep()


def _items(value: JSON) -> Iterable[JSON]:
    if isinstance(value, dict):
        return cast("dict[str, JSON]", value).values()
    return cast("list[JSON]", value) if isinstance(value, list) else ()


def _too_deep() -> BadRequest:
    message = f"nested deeper than MAX_JSON_DEPTH, {MAX_JSON_DEPTH} levels"
    return BadRequest(f"the body is {message}; flatten it", errors=[finding("", "too_deep", message)])

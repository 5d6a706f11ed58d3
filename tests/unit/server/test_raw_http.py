"""What a careless or hostile client sends: always an answer or a closed connection, never a 500, never a hang."""

import asyncio
import gzip
import re
from typing import Any

import pytest

HEAD = b"POST /engine/flow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nBad\x00Name: 1\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 400),
        (HEAD + b"Content-Length: abc\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", 400),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 400),
        (HEAD + b"Content-Length: 3\r\n\r\n\xff\xfe\x00", 400),
        (b"GET /%ff%00%2e%2e/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /engine/flow/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET http://h/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200),
        (b"GET /engine/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
        (
            b"GET /engine/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            400,
        ),
    ],
)
async def test_malformed_requests_are_answered(start: Any, request_bytes: bytes, status: int):
    api = await start(keepalive_s=0.2)
    async with asyncio.timeout(5):
        answer = await api.raw(request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"%d" % status
    if status >= 400:
        assert b"application/problem+json" in head
        assert body.startswith(b'{"type":"urn:argyll:problem:')


async def test_pipelined_requests_are_answered_in_order(api: Any):
    answer = await api.raw(
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404"]


async def test_http_1_0_keeps_alive_when_asked(api: Any):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    for _ in range(2):
        writer.write(b"HEAD /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: keep-alive" in head
    writer.close()


@pytest.mark.parametrize(
    ("path", "limit_name"),
    [
        ("/engine/step", "max_step_bytes"),
        ("/engine/catalog/apply", "max_catalog_bytes"),
        ("/engine/flow", "max_request_bytes"),
        ("/engine/plan", "max_request_bytes"),
        ("/engine/flow/query", "max_request_bytes"),
        ("/webhook/f/s/t", "max_request_bytes"),
    ],
)
@pytest.mark.parametrize("size", [101, 200_000])
async def test_a_body_over_its_limit_is_413_and_names_the_limit(start: Any, path: str, limit_name: str, size: int):
    """execution.md 13.24/226-227"""
    api = await start(**{limit_name: 100})
    status, body, _ = await api.call("POST", path, b"x" * size)
    assert status == 413
    assert f"{limit_name}, 100 bytes" in body["detail"]


async def test_a_chunked_body_over_its_limit_is_413(start: Any):
    api = await start(max_request_bytes=100)

    async def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 10

    async with api.session.post(f"{api.server.url}/engine/flow", data=chunks()) as answer:
        assert answer.status == 413


async def test_a_compressed_body_is_read_and_its_limit_is_that_of_the_plain_text(start: Any):
    api = await start(max_request_bytes=1_000)
    small = gzip.compress(b'{"id":"f","goals":["g"]}')
    bomb = gzip.compress(b" " * 1_000_000)
    headers = {"Content-Encoding": "gzip"}
    assert (await api.call("POST", "/engine/flow", small, headers=headers))[0] == 201
    assert (await api.call("POST", "/engine/flow", bomb, headers=headers))[0] == 413


async def test_a_client_that_asks_first_is_told_to_continue(api: Any):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    body = b'{"id":"f","goals":["g"]}'
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.read(-1)).startswith(b"HTTP/1.1 201 ")
    writer.close()


async def test_a_client_that_asks_first_with_too_much_is_refused(api: Any):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_body_that_does_not_come_is_408(start: Any):
    api = await start(body_timeout_s=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(HEAD + b"Content-Length: 10\r\n\r\n{")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_an_idle_connection_is_closed(start: Any):
    api = await start(keepalive_s=0.05)
    async with asyncio.timeout(5):
        assert await api.raw(b"") == b""

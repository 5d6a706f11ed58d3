"""HTTP and WebSocket framing as both ends of the benchmark use it."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.processes import free_port
from benchmarks.wire import (
    LOOPBACK,
    NO_ANSWER,
    PING,
    TEXT,
    FrameReader,
    HttpPool,
    HttpServerProtocol,
    frame_bytes,
)


@settings(max_examples=40)
@given(
    payloads=st.lists(st.one_of(st.binary(max_size=300), st.just(b"x" * 70_000)), max_size=6),
    masked=st.booleans(),
    cut=st.integers(min_value=1, max_value=5000),
)
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(payloads: list[bytes], masked: bool, cut: int):
    stream = b"".join(frame_bytes(payload, masked=masked) for payload in payloads)
    reader = FrameReader()
    frames = [frame for start in range(0, len(stream), cut) for frame in reader.feed(stream[start : start + cut])]
    assert frames == [(TEXT, payload) for payload in payloads]


def test_a_mask_is_undone():
    # The masked "Hello" of RFC 6455, section 5.7.
    frame = bytes([0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
    assert FrameReader().feed(frame) == [(TEXT, b"Hello")]


def test_the_opcode_is_kept():
    assert FrameReader().feed(frame_bytes(b"", PING)) == [(PING, b"")]


class Echo(HttpServerProtocol):
    """Answers with what it was asked; hangs up on /gone."""

    def requested(self, method: bytes, target: bytes, body: bytes) -> None:
        if target == b"/gone":
            self.transport.close()
        else:
            self.reply(b" ".join((method, target, body)), b"201 Created")


async def test_a_pool_answers_many_requests_over_few_connections():
    server = await asyncio.get_running_loop().create_server(Echo, LOOPBACK, 0)
    pool = HttpPool(server.sockets[0].getsockname()[1])
    try:
        assert await pool.request("POST", "/a", b"{}") == (201, b"POST /a {}")
        together = await asyncio.gather(*(pool.request("GET", f"/{n}") for n in range(20)))
        assert together == [(201, f"GET /{n} ".encode()) for n in range(20)]
        # A connection the server closed is not used again.
        assert (await pool.request("GET", "/gone"))[0] == NO_ANSWER
        assert (await pool.request("GET", "/b"))[0] == 201
    finally:
        pool.close()
        server.close()


async def test_no_server_is_no_answer_with_the_reason():
    status, why = await HttpPool(free_port()).request("GET", "/")
    assert status == NO_ANSWER
    assert b"cannot connect" in why

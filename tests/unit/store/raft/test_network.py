"""Strangers, liars and garbage on a node's port do nothing but a line in the log."""

import asyncio
import contextlib
import logging
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.store import Append, NewEvent
from argyll.store.raft import RaftOptions
from argyll.store.raft.frames import (
    HEADER,
    WIRE_VERSION,
    Answer,
    Beat,
    Chunk,
    ChunkAnswer,
    Forward,
    FrameError,
    FrameReader,
    Hello,
    Hint,
    Message,
    Ping,
    ReadIndex,
    ReadRequest,
    Received,
    TimeoutNow,
    Vote,
    VoteRequest,
    encode,
)
from argyll.store.raft.frames import (
    Append as AppendMessage,
)
from argyll.store.raft.network import members_checksum
from argyll.store.raft.options import ClusterConfig, parse_address
from tests.unit.store.raft.certificates import Authority
from tests.unit.store.raft.members import PATIENCE_MS, QUICK, StoreCluster

MESSAGES: list[Message] = [
    Hello(1, "n1", "n2", 77, 5),
    AppendMessage(3, 4, 5, 6, [(b"one", 6, 7), (b"", 7, 7)]),
    AppendMessage(3, 4, 5, 6, []),
    Beat(9),
    Answer(1, True, 2),
    VoteRequest(1, 2, 3, probe=True),
    Vote(4, probe=False),
    Hint(),
    TimeoutNow(8),
    Forward(1, b"s" * 16, 7, [(b"i" * 16, b"body"), (b"j" * 16, b"")]),
    ReadRequest(1 << 60),
    ReadIndex(1, 2),
    Chunk(1, 2, 3, 4, 5, 6, b"data"),
    ChunkAnswer(1, 2, 3),
    Ping(),
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=20), st.integers(1, 40), st.integers(0, 1 << 40))
def test_messages_survive_the_wire_however_it_is_cut(messages: list[Message], piece: int, term: int) -> None:
    stream = b"".join(encode(message, term) for message in messages)
    reader = FrameReader(1 << 16)

    received = [got for at in range(0, len(stream), piece) for got in reader.feed(stream[at : at + piece])]

    assert received == [Received(term, message) for message in messages]


@given(st.sampled_from(MESSAGES), st.data())
def test_a_changed_byte_is_noticed(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(message, 3))
    frame[data.draw(st.integers(4, len(frame) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(FrameError):
        FrameReader(1 << 16).feed(bytes(frame))


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waits_for_more(garbage: bytes) -> None:
    with contextlib.suppress(FrameError):
        assert FrameReader(200).feed(garbage) == []


class Fire:
    """What a pickle could do to whoever loads it."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


def hello(cluster: StoreCluster, **changes: object) -> bytes:
    config = ClusterConfig(node_id="n1", members=cluster.members)
    return encode(Hello(WIRE_VERSION, "n1", "n2", members_checksum(config), 9)._replace(**changes), 1)


ATTACKS: dict[str, Callable[[StoreCluster], bytes]] = {
    "a pickle as the library takes it": lambda _: struct.pack("i", 60) + pickle.dumps(Fire()),
    "a frame beyond the cap": lambda _: HEADER.pack(1 << 31, 0, 1, 0, 0),
    "zeros": lambda _: bytes(4096),
    "an order before the greeting": lambda _: encode(TimeoutNow(10**9), 10**9),
    "another version": lambda cluster: hello(cluster, version=99),
    "a node nobody knows": lambda cluster: hello(cluster, node_id="n9"),
    "a node's own id": lambda cluster: hello(cluster, node_id="n2"),
    "meant for another": lambda cluster: hello(cluster, to="n3"),
    "other members": lambda cluster: hello(cluster, members=1),
    "one who is to be called": lambda cluster: hello(cluster, node_id="n3"),
    "an oversize greeting": lambda cluster: hello(cluster, node_id="n" * 2000),
}


IMPATIENT = RaftOptions(
    heartbeat_ms=20, election_min_ms=150, election_max_ms=300, tick_ms=5, max_strangers=3, silence_ms=400, ping_ms=50
)


async def send_to(cluster: StoreCluster, name: str, data: bytes) -> None:
    """Send, and wait until the node hangs up."""
    reader, writer = await asyncio.open_connection(*parse_address(cluster.members[name]))
    writer.write(data)
    try:
        while await reader.read(1 << 16):
            pass
    except ConnectionError:
        pass
    finally:
        writer.close()


async def test_attacks_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with StoreCluster(tmp_path, raft=IMPATIENT) as cluster:
        await cluster.leader()
        before = cluster.stores["n2"].status()
        with caplog.at_level(logging.WARNING, "argyll.store.raft.network"):
            for attack in ATTACKS.values():
                await asyncio.wait_for(send_to(cluster, "n2", attack(cluster)), 10)

        after = cluster.stores["n2"].status()
        assert (after.term, after.failure, after.has_quorum) == (before.term, None, True)
        assert await cluster.stores["n2"].append(Append(("flow", "a"), 0, 0, [NewEvent("e", b"{}")])) == 1
        assert "given up" in caplog.text
        assert len(caplog.records) < len(ATTACKS), "a flood of connections is no flood of lines"


async def test_callers_that_say_nothing_are_few_and_do_not_stay(tmp_path: Path) -> None:
    raft = RaftOptions(
        heartbeat_ms=20,
        election_min_ms=150,
        election_max_ms=300,
        tick_ms=5,
        max_strangers=3,
        silence_ms=400,
        ping_ms=50,
    )
    async with StoreCluster(tmp_path, raft=raft) as cluster:
        await cluster.leader()
        address = parse_address(cluster.members["n2"])
        connections = [await asyncio.open_connection(*address) for _ in range(8)]
        for reader, writer in connections:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 10)
            writer.close()
        assert cluster.stores["n2"].status().has_quorum


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@needs_openssl
async def test_nodes_with_certificates_work_together(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    tls = {name: authority.contexts(name) for name in ("n1", "n2", "n3")}
    async with StoreCluster(tmp_path, tls=tls) as cluster:
        for sequence, store in enumerate(cluster.stores.values()):
            assert await store.append(Append(("flow", "a"), sequence, 0, [NewEvent("e", b"{}")])) == sequence + 1
            await cluster.settle()
        await asyncio.wait_for(send_to(cluster, "n2", hello(cluster)), 10)
        assert all(peer.is_connected for peer in cluster.stores["n2"].status().peers)


@needs_openssl
@pytest.mark.parametrize("fault", ["another authority", "another node's name"])
async def test_a_node_with_the_wrong_certificate_stays_outside(tmp_path: Path, fault: str) -> None:
    authority = Authority(tmp_path / "tls")
    tls = {name: authority.contexts(name) for name in ("n1", "n2")}
    other = Authority(tmp_path / "other") if fault == "another authority" else authority
    tls["n3"] = other.contexts("n3" if other is not authority else "n7")
    cluster = StoreCluster(tmp_path, tls=tls, raft=QUICK)
    async with cluster:
        # The first formation needs everybody, and one of them cannot prove who it is.
        with pytest.raises(Exception, match="no leader"):
            await cluster.stores["n1"].read_barrier(800)
        connected = {peer.id: peer.is_connected for peer in cluster.stores["n1"].status().peers}
        assert connected == {"n2": True, "n3": False}

        await cluster.close("n3")
        cluster.tls["n3"] = authority.contexts("n3")
        await cluster.open("n3")
        await cluster.stores["n1"].read_barrier(PATIENCE_MS)

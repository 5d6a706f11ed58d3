"""Connections between the nodes: who may connect, frames in and out, and noticing when the other side is gone.

One connection per pair, opened by the node whose id comes first. It looks into no message but the first, which says who
speaks, and keeps nothing for a peer that is not connected.
"""

import asyncio
import logging
import zlib
from contextlib import suppress
from typing import Protocol, cast

from argyll.store.raft.frames import WIRE_VERSION, FrameError, FrameReader, Hello, Ping, Received, encode
from argyll.store.raft.options import ClusterConfig, parse_address

logger = logging.getLogger(__name__)

HELLO_BYTES = 1_024
"""A stranger may not make us hold more."""
BULK_BUFFER_BYTES = 4 << 20
"""A connection with more than this waiting gets no more entries for now."""
FRAME_OVERHEAD_BYTES = 64 << 10
_PING = encode(Ping(), 0)
_FIRST_RETRY_S = 0.05


class NetworkUser(Protocol):
    """The node above."""

    def position(self) -> tuple[int, int]:
        """Where its log ends, and its term."""
        ...

    def connected(self, peer: str, last_index: int, term: int) -> None: ...

    def disconnected(self, peer: str) -> None: ...

    def received(self, peer: str, received: Received) -> None: ...


def members_checksum(members: ClusterConfig) -> int:
    """What two nodes of one cluster have in common: the ids of all members."""
    return zlib.crc32("\0".join(sorted(members.members)).encode())


class Connection(asyncio.Protocol):
    """One connection, in or out; `expected` is whom we called."""

    def __init__(self, network: "Network", expected: str | None) -> None:
        self._network = network
        self._expected = expected
        self._reader = FrameReader(HELLO_BYTES)
        self._transport: asyncio.Transport | None = None
        self.peer: str | None = None
        self.heard_s = 0.0
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are; whoever calls us is given little time to do the same."""
        self._transport = cast("asyncio.Transport", transport)
        self.heard_s = self._network.now_s()
        if self._expected is not None:
            self.write(self._network.hello(self._expected))
        elif not self._network.admit(self):
            self.close()

    def data_received(self, data: bytes) -> None:
        """Hand on whole frames; anything that is none ends the connection."""
        self.heard_s = self._network.now_s()
        try:
            for received in self._reader.feed(data):
                if self.peer is None:
                    self._greet(received)
                elif not isinstance(received.message, Ping):
                    self._network.user.received(self.peer, received)
        except FrameError as error:
            self._network.refuse(self, str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._network.lost(self)

    def write(self, frame: bytes) -> None:
        """Send a frame; gives the connection up when the other side does not take what is sent."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(frame)
        if transport.get_write_buffer_size() > self._network.max_buffer_bytes:
            self._network.refuse(self, "it takes nothing any more")

    def has_room(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() < BULK_BUFFER_BYTES

    def close(self) -> None:
        """Cut it off now."""
        if self._transport is not None:
            self._transport.abort()

    def describe(self) -> str:
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return f"{self.peer or self._expected or 'unknown'} at {address}"

    def certificate_names(self) -> set[str] | None:
        """The names in the other side's certificate; None without TLS."""
        assert self._transport is not None, "greeted before connected"
        if self._transport.get_extra_info("ssl_object") is None:
            return None
        certificate = self._transport.get_extra_info("peercert") or {}
        return {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}

    def _greet(self, received: Received) -> None:
        message = received.message
        if not isinstance(message, Hello):
            raise FrameError("it does not say who it is")
        self._network.check(message, self._expected, self.certificate_names())
        self._reader.limit = self._network.frame_limit
        self.peer = message.node_id
        if self._expected is None:
            self.write(self._network.hello(self.peer))
        self._network.greeted(self, message, received.term)


class Network:
    """All connections of one node."""

    def __init__(self, config: ClusterConfig, user: NetworkUser, max_command_bytes: int) -> None:
        self._config = config
        self.user = user
        self._loop = asyncio.get_running_loop()
        self._members = members_checksum(config)
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._connections: dict[str, Connection] = {}
        self._strangers: set[Connection] = set()
        self._refused_s = float("-inf")
        self._refused_silently = 0
        self.max_buffer_bytes = config.raft.max_send_buffer_bytes + max_command_bytes
        self.frame_limit = max(config.raft.message_bytes, config.raft.max_entry_bytes) + max_command_bytes
        self.frame_limit += FRAME_OVERHEAD_BYTES

    async def start(self) -> None:
        """Listen, and keep calling those who are ours to call. Raises OSError."""
        host, port = self._config.listen_address
        tls = self._config.tls
        self._server = await self._loop.create_server(
            lambda: Connection(self, None), host, port, ssl=tls.server if tls else None
        )
        for peer in self._config.others:
            if self._config.node_id < peer:
                self._tasks.append(self._loop.create_task(self._keep_calling(peer)))
        self._tasks.append(self._loop.create_task(self._watch()))

    async def close(self) -> None:
        """Cut every connection and stop listening."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
        for connection in [*self._connections.values(), *self._strangers]:
            connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def send(self, peer: str, frame: bytes) -> None:
        """Send a frame if the peer is connected."""
        connection = self._connections.get(peer)
        if connection is not None:
            connection.write(frame)

    def has_room(self, peer: str) -> bool:
        connection = self._connections.get(peer)
        return connection is not None and connection.has_room()

    def now_s(self) -> float:
        return self._loop.time()

    def hello(self, to: str) -> bytes:
        last_index, term = self.user.position()
        return encode(Hello(WIRE_VERSION, self._config.node_id, to, self._members, last_index), term)

    def admit(self, stranger: Connection) -> bool:
        """Whether one more caller may say who it is."""
        if len(self._strangers) >= self._config.raft.max_strangers:
            self._log_refusal(stranger, f"{len(self._strangers)} callers have not said who they are (max_strangers)")
            return False
        self._strangers.add(stranger)
        return True

    def check(self, hello: Hello, expected: str | None, names: set[str] | None) -> None:
        """Raise `FrameError` unless the other side is the member it should be."""
        me = self._config.node_id
        if hello.version != WIRE_VERSION:
            raise FrameError(f"it speaks version {hello.version}, this release {WIRE_VERSION}")
        if hello.to != me:
            raise FrameError(f"it looks for node {hello.to!r}, this is {me!r}: check the addresses of the members")
        if hello.node_id == me or hello.node_id not in self._config.members:
            raise FrameError(f"node {hello.node_id!r} is not another member of this cluster")
        if hello.members != self._members:
            raise FrameError(f"node {hello.node_id!r} is configured with other members; make them equal on all nodes")
        if expected is None and hello.node_id > me:
            raise FrameError(f"node {hello.node_id!r} is called by this one and does not call")
        if expected is not None and hello.node_id != expected:
            raise FrameError(f"node {hello.node_id!r} answers where {expected!r} should")
        if names is not None and hello.node_id not in names:
            raise FrameError(f"its certificate is for {', '.join(sorted(names)) or 'nobody'}, not {hello.node_id!r}")

    def greeted(self, connection: Connection, hello: Hello, term: int) -> None:
        """The other side is who it should be: from now on this is the connection to it."""
        self._strangers.discard(connection)
        peer = hello.node_id
        older = self._connections.pop(peer, None)
        if older is not None:
            self.user.disconnected(peer)
            older.close()
        self._connections[peer] = connection
        self.user.connected(peer, hello.last_index, term)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._strangers.discard(connection)
        peer = connection.peer
        if peer is not None and self._connections.get(peer) is connection:
            del self._connections[peer]
            self.user.disconnected(peer)

    def refuse(self, connection: Connection, why: str) -> None:
        """Give a connection up, with a line in the log."""
        self._log_refusal(connection, why)
        connection.close()

    def _log_refusal(self, connection: Connection, why: str) -> None:
        # A flood of bad connections must not become a flood of lines.
        if self.now_s() - self._refused_s < 1:
            self._refused_silently += 1
            return
        others = f" ({self._refused_silently} more since the last such line)" if self._refused_silently else ""
        self._refused_s, self._refused_silently = self.now_s(), 0
        logger.warning("connection with %s given up: %s%s", connection.describe(), why, others)

    async def _keep_calling(self, peer: str) -> None:
        delay_s = _FIRST_RETRY_S
        while True:
            connection = Connection(self, peer)
            if await self._call(peer, connection):
                await connection.closed.wait()
                delay_s = _FIRST_RETRY_S if connection.peer else delay_s
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, self._config.raft.reconnect_max_ms / 1000)

    async def _call(self, peer: str, connection: Connection) -> bool:
        host, port = parse_address(self._config.members[peer])
        tls = self._config.tls
        with suppress(OSError):
            async with asyncio.timeout(self._config.raft.connect_timeout_ms / 1000):
                await self._loop.create_connection(
                    lambda: connection,
                    host,
                    port,
                    ssl=tls.client if tls else None,
                    server_hostname=peer if tls else None,
                )
                return True
        return False

    async def _watch(self) -> None:
        """Keep idle connections talking; give up those on which nothing arrives."""
        while True:
            await asyncio.sleep(self._config.raft.ping_ms / 1000)
            oldest_s = self.now_s() - self._config.raft.silence_ms / 1000
            for connection in [*self._connections.values(), *self._strangers]:
                if connection.heard_s < oldest_s:
                    self.refuse(connection, f"nothing heard for {self._config.raft.silence_ms} ms")
                elif connection.peer is not None:
                    connection.write(_PING)
